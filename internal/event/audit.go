package event

import (
	"bytes"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
)

// Kinds that only a vault's audit log hints at: Event Grid has no event of them.
const (
	KeyDeleted            Kind = "key-deleted"
	KeyPurged             Kind = "key-purged"
	KeyRecovered          Kind = "key-recovered"
	KeyUpdated            Kind = "key-updated" // disabled, enabled, or another expiry
	KeyRotated            Kind = "key-rotated"
	KeyCreated            Kind = "key-created"  // by a person or a program: never by us or by a rotation policy
	KeyImported           Kind = "key-imported" // likewise
	KeyRestored           Kind = "key-restored" // likewise
	KeyBackedUp           Kind = "key-backed-up"
	RotationPolicyChanged Kind = "rotation-policy-changed"
	AttemptDenied         Kind = "attempt-denied" // one of the above was tried and refused
	UseFailed             Kind = "use-failed"     // a wrap, unwrap or get was refused, or found nothing
	Flooded               Kind = "log-flood"      // ours: more came than is looked at one by one
)

// Audit is what one message of a vault's log held. Every record of the message
// is in one of the lists or counted in Dropped.
type Audit struct {
	Signals  []Signal
	Uses     []Use
	Rejected []Rejected
	Dropped  int // unrelated: understood, and nobody's business here
	// Heard are the vaults (azureid.Resource.Key) of which the message has a record of
	// any kind, dropped ones too: their logs reach us. At most maxHeard.
	Heard []string

	heard map[string]bool // as the records write them
	last  []byte          // of them: records of one vault follow each other
}

// maxHeard bounds how many vaults of one message are noted as heard.
const maxHeard = 1000

// hear notes whose record it is.
func (a *Audit) hear(g glance) {
	if len(g.resource) == 0 || bytes.Equal(g.resource, a.last) {
		return
	}
	a.last = g.resource
	if a.heard[string(g.resource)] || len(a.Heard) >= maxHeard {
		return
	}
	if a.heard == nil {
		a.heard = map[string]bool{}
	}
	a.heard[string(g.resource)] = true
	if r, err := azureid.ParseResource(string(g.resource)); err == nil && r.Type() == azureid.TypeVault {
		a.Heard = append(a.Heard, r.Key())
	}
}

// Use is a claim that an identity wrapped or unwrapped with a key version.
type Use struct {
	Actor Actor            `json:"actor"`
	Key   azureid.Key      `json:"key"` // with version, if the record names one
	Vault azureid.Resource `json:"vault"`
	Time  time.Time        `json:"time"`
}

// useWindow is how long refused uses of one key by one caller with one answer
// are one signal: a cluster that lost its key asks all the time.
const useWindow = 10 * time.Minute

// auditKind returns the meaning of a log operation when it succeeded; use tells
// the operations of the data path, which only matter by their answer.
//
// Names: learn.microsoft.com, "Azure Key Vault logging" (operation names).
func auditKind(operation []byte) (kind Kind, use bool) {
	var lower [48]byte
	if len(operation) > len(lower) {
		return "", false
	}
	for i, c := range operation {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	switch string(lower[:len(operation)]) {
	case "keyunwrap", "keywrap", "keyget":
		return UseFailed, true
	case "keydelete":
		return KeyDeleted, false
	case "keypurge":
		return KeyPurged, false
	case "keyrecover":
		return KeyRecovered, false
	case "keyupdate":
		return KeyUpdated, false
	case "keyrotate", "keyrotateifdue":
		return KeyRotated, false
	case "keycreate":
		return KeyCreated, false
	case "keyimport":
		return KeyImported, false
	case "keyrestore":
		return KeyRestored, false
	case "keybackup":
		return KeyBackedUp, false
	case "keyrotationpolicyset":
		return RotationPolicyChanged, false
	}
	return vaultKind(string(lower[:len(operation)])), false
}

func vaultKind(operation string) Kind {
	switch operation {
	case "vaultput", "vaultpatch":
		return VaultWritten
	case "vaultdelete":
		return VaultDeleted
	case "vaultrecover":
		return VaultRecovered
	case "vaultpurge":
		return VaultPurged
	case "vaultaccesspolicychangedeventgridnotification":
		return AccessPolicyChanged
	case "keynearexpiryeventgridnotification":
		return KeyNearExpiry
	case "keyexpiredeventgridnotification":
		return KeyExpired
	}
	return ""
}

// ParseAuditLogs reads one Event Hub message of a vault's or a Managed HSM's
// diagnostic log. Unrelated records cost one scan of their bytes and are
// counted. It decides on httpStatusCode: resultType says "Success" of a refusal
// too. One record never spoils another. The error is Invalid and means that the
// message as a whole is no log.
func ParseAuditLogs(raw []byte, c azureid.Cloud) (Audit, error) {
	body, err := auditBody(raw)
	if err != nil {
		return Audit{}, err
	}
	var a Audit
	n := 0
	if !scanRecords(body, func(rec []byte, g glance) { a.add(n, rec, g, c); n++ }) {
		return Audit{}, fault.New(fault.Invalid, "event.ParseAuditLogs", "message is not JSON: it begins %q", clip(string(body[:min(len(body), 200)])))
	}
	return a, nil
}

func (a *Audit) add(index int, rec []byte, g glance, c azureid.Cloud) {
	var problems []string
	kind, use := auditKind(g.operation)
	switch {
	case len(rec) == 0 || rec[0] != '{':
		problems = append(problems, "record is no object: want one of Azure Monitor's resource log")
	case len(g.operation) == 0 && !bytes.EqualFold(g.category, []byte("AuditEvent")):
		a.Dropped++ // another log in the same hub
		return
	case len(g.operation) == 0:
		problems = append(problems, "operationName is missing: want KeyDelete, say")
	case kind == "", use && !useMatters(g):
		a.hear(g)
		a.Dropped++
		return
	default:
		a.hear(g)
		a.read(index, rec, g, kind, use, c)
		return
	}
	a.reject(index, rec, problems)
}

// useMatters: a use that worked is a claim of use, except that reading a key's
// public part proves nothing; one that failed matters if access or the key was
// what it failed for.
func useMatters(g glance) bool {
	if g.status == 403 || g.status == 404 || g.status == 401 {
		return true
	}
	return g.status >= 200 && g.status < 300 && !bytes.EqualFold(g.operation, []byte("KeyGet"))
}

func (a *Audit) reject(index int, rec []byte, problems []string) {
	a.Rejected = append(a.Rejected, Rejected{Index: index, Type: "AuditEvent", Problems: problems, Raw: bytes.Clone(rec)})
}

// read reads a record that matters.
func (a *Audit) read(index int, rec []byte, g glance, kind Kind, use bool, c azureid.Cloud) {
	var problems []string
	r := newRecord(rec, &problems)
	r.place(kind, use, c)
	if g.status < 0 && !isNotification(r.operation) {
		r.problem("properties.httpStatusCode is missing or no HTTP status: want 200, say")
	}
	if len(problems) > 0 {
		a.reject(index, rec, problems)
		return
	}
	ok := g.status < 0 || g.status >= 200 && g.status < 300
	s := r.signal(kind, g.status)
	switch {
	case use && ok:
		a.Uses = append(a.Uses, Use{Actor: s.Claim.Actor, Key: r.key, Vault: r.vault, Time: r.time})
	case use:
		s.ID = useID(s, g.status)
		a.Signals = append(a.Signals, s)
	case ok:
		a.Signals = append(a.Signals, s)
	case g.status == 401 || g.status == 403:
		s.Kind = AttemptDenied
		a.Signals = append(a.Signals, s)
	default:
		a.Dropped++ // it failed by itself and changed nothing
	}
}

// useID makes refusals of one kind one signal for a while.
func useID(s Signal, status int) string {
	b, err := canonical.JSON(map[string]any{
		"key": s.Key.ID(), "vault": s.Vault.Key(), "by": s.Claim.Actor.ObjectID + "/" + s.Claim.Actor.AppID,
		"status": status, "window": s.Time.Truncate(useWindow).Unix(),
	})
	if err != nil {
		return s.ID // unreachable: plain values
	}
	return "use-" + canonical.Hash(b)[:40]
}

// record is one record of a log, in either of its shapes.
type record struct {
	object
	raw                  []byte
	operation            string
	properties, identity object
	source               string
	vault                azureid.Resource
	key                  azureid.Key
	time                 time.Time
}

func newRecord(rec []byte, problems *[]string) *record {
	r := &record{object: newObject("", rec, problems), raw: rec}
	if r.fields == nil {
		return r
	}
	r.operation = r.required("operationName")
	r.source = r.required("resourceId")
	r.time = r.timestamp("time")
	r.properties = r.quiet("properties")
	r.identity = r.quiet("identity")
	return r
}

// place reads which vault and which key the record is about.
func (r *record) place(kind Kind, use bool, c azureid.Cloud) {
	if r.source == "" {
		return
	}
	id, err := azureid.ParseResource(r.source)
	switch {
	case err != nil:
		r.problem("resourceId: %s; want the id of a vault", reason(err))
		return
	case id.Type() != azureid.TypeVault && id.Type() != "microsoft.keyvault/managedhsms":
		r.problem("resourceId %q is neither a vault nor a Managed HSM", clip(r.source))
		return
	}
	r.vault = id
	if !use && !aboutKey(kind) {
		return
	}
	for _, text := range []string{
		r.properties.loose("id"), r.loose("id"), r.properties.loose("requestUri"), r.loose("requestUri"),
		r.quiet("eventGridEventProperties").quiet("data").loose("Id"), r.properties.quiet("eventGridEventProperties").quiet("data").loose("Id"),
	} {
		if k, ok := keyIn(text, c); ok {
			r.key = k
			break
		}
	}
	if r.key.IsZero() && isNotification(r.operation) {
		r.key = r.announced(c)
	}
	if kind == KeyRestored && strings.EqualFold(r.key.Name, "restore") {
		r.key = azureid.Key{} // the call's own name: which key it restored is not told
	}
	if !r.key.IsZero() && !strings.EqualFold(r.key.VaultName(), id.Name()) {
		r.problem("resourceId names vault %q but the key is in %q: both must name the same vault; check who may send to this hub",
			clip(id.Name()), r.key.VaultName())
	}
}

// isNotification reports whether the operation is an event that Key Vault published.
func isNotification(operation string) bool {
	return strings.HasSuffix(strings.ToLower(operation), "eventgridnotification")
}

// announced returns the key of an event's row that names it, but by no URL: no capture
// of one exists, and Log Analytics has the columns
// eventGridEventProperties_data_ObjectName_s and eventGridEventProperties_subject_s of it
// (learn.microsoft.com key-vault/general/alert).
func (r *record) announced(c azureid.Cloud) azureid.Key {
	for _, props := range []object{r.quiet("eventGridEventProperties"), r.properties.quiet("eventGridEventProperties")} {
		data := props.quiet("data")
		name := data.first("ObjectName")
		if name == "" {
			name = props.first("subject")
		}
		if name == "" || len(c.VaultSuffixes) == 0 {
			continue
		}
		base := "https://" + r.vault.Name() + c.VaultSuffixes[0] + "/keys/" + name
		for _, url := range []string{base + "/" + data.first("Version"), base} {
			if k, err := azureid.ParseKey(url, c); err == nil {
				return k
			}
		}
	}
	return azureid.Key{}
}

func aboutKey(k Kind) bool { return strings.HasPrefix(string(k), "key-") || k == RotationPolicyChanged }

// keyIn reads a key from a record's URL, which goes on with the operation
// (/keys/NAME/VERSION/unwrapkey, /deletedkeys/NAME/recover) and a query.
func keyIn(text string, c azureid.Cloud) (azureid.Key, bool) {
	text, _, _ = strings.Cut(text, "?")
	parts := strings.Split(strings.TrimRight(text, "/"), "/")
	if len(parts) < 5 { // https: "" host keys NAME
		return azureid.Key{}, false
	}
	if len(parts) > 5 {
		if k, err := azureid.ParseKey(strings.Join(parts[:6], "/"), c); err == nil {
			return k, true
		}
	}
	k, err := azureid.ParseKey(strings.Join(parts[:5], "/"), c)
	return k, err == nil
}

// signal fills a signal; where no key is named, the vault is its subject. A
// record has no id of its own: its bytes are its identity.
func (r *record) signal(kind Kind, status int) Signal {
	s := Signal{
		ID: "audit-" + canonical.Hash(r.raw)[:40], Source: r.source, Type: "AuditEvent." + clip(r.operation), Kind: kind,
		Time: r.time, Key: r.key, Vault: r.vault, Resource: r.vault,
		Subject: Subject{Kind: SubjectVault, ID: r.vault.Key()},
		Claim: &Claim{
			Source: "Key Vault AuditEvent of " + clip(r.vault.Name()), Operation: clip(r.operation), Status: max(status, 0),
			Actor: r.actor(), Correlation: r.loose("correlationId"), Says: firstLine(r.loose("resultDescription")),
		},
	}
	if !r.key.IsZero() {
		s.Subject = Subject{Kind: SubjectKey, ID: r.key.ID()}
	}
	return s
}

func (r *record) actor() Actor {
	claims := r.identity.quiet("claim")
	if claims.fields == nil {
		claims = r.identity
	}
	a := actorOf(claims)
	if a.Address == "" {
		a.Address = r.loose("callerIpAddress")
	}
	return a
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.TrimSpace(s)
}

package event

import (
	"encoding/json"
	"fmt"
	"strings"

	"cmkguard/internal/azureid"
)

// Parsed is what one delivery held. Every element of the delivery is in
// exactly one of the three lists, in the order of the delivery.
type Parsed struct {
	Signals  []Signal   `json:"signals"`
	Ignored  []Ignored  `json:"ignored"`
	Rejected []Rejected `json:"rejected"`
}

// Rejected is an element that could not be turned into a signal. It is to be
// stored whole and alerted, not sent back: no redelivery will read better.
type Rejected struct {
	Index    int             `json:"index"` // position in the delivery, from 0
	ID       string          `json:"id"`    // as far as it could be read
	Type     string          `json:"type"`
	Problems []string        `json:"problems"` // all of them; each names the field and the mend
	Raw      json.RawMessage `json:"raw"`
}

// ParseKeyVault reads what Event Grid delivers for a Key Vault system topic:
// one element or an array, in the Event Grid or the CloudEvents 1.0 schema, as
// JSON or as JSON inside a JSON string (a queue trigger's item; a multi-event
// delivery). It never judges an element by its neighbours: good ones are
// returned beside bad ones.
//
// A signal's key host is a vault of c and belongs to the vault that the topic
// names. The error is Invalid, and means that the body as a whole is no
// delivery: not JSON, neither object nor array, or beyond the bounds.
func ParseKeyVault(raw []byte, c azureid.Cloud) (Parsed, error) {
	return parseEach(raw, func(env envelope) (Signal, string) { return readKeyVault(env, c) })
}

// parseEach reads every element of a delivery. read returns the element's signal, or
// why it is ignored; what is wrong with the element it reports to env.
func parseEach(raw []byte, read func(env envelope) (s Signal, ignore string)) (Parsed, error) {
	elements, err := split(raw)
	if err != nil {
		return Parsed{}, err
	}
	var p Parsed
	for i, el := range elements {
		p.add(i, el, read)
	}
	return p, nil
}

func (p *Parsed) add(index int, raw json.RawMessage, read func(envelope) (Signal, string)) {
	var problems []string
	env := readEnvelope(raw, &problems)
	s, ignore := read(env)
	if env.typ != "" && ignore != "" {
		p.Ignored = append(p.Ignored, Ignored{ID: clip(env.id), Type: clip(env.typ), Reason: ignore})
		return
	}
	if len(problems) > 0 {
		p.Rejected = append(p.Rejected, Rejected{
			Index: index, ID: clip(env.id), Type: clip(env.typ), Problems: problems, Raw: raw,
		})
		return
	}
	p.Signals = append(p.Signals, s)
}

// ownFacts are the events that an installation of this product publishes of what
// Azure has no event for. They are hints like any other: what they lead to is a look,
// and a look publishes only what it finds changed, so that no event feeds itself.
const ownFacts = "cmkguard."

func readOwn(env envelope, c azureid.Cloud) (Signal, string) {
	switch strings.TrimPrefix(strings.ToLower(env.typ), ownFacts) {
	case "keydeleted", "keydisabled", "keypurged", "accesslost":
	default:
		return Signal{}, fmt.Sprintf("%q is an event of this product that tells nothing new", clip(env.typ))
	}
	s := Signal{ID: env.id, Source: env.source, Type: env.typ, Kind: KeyChanged, Time: env.time, TraceParent: env.traceParent}
	if data := env.child("data"); data.fields != nil {
		s.Key = data.key("Id", c)
		s.Subject = Subject{Kind: SubjectKey, ID: s.Key.ID()}
	}
	return s, ""
}

func readKeyVault(env envelope, c azureid.Cloud) (Signal, string) {
	if strings.HasPrefix(strings.ToLower(env.typ), ownFacts) {
		return readOwn(env, c)
	}
	kind, ignore := classify(env.typ)
	if env.typ != "" && ignore != "" {
		return Signal{}, ignore
	}
	return signalOf(kind, env, c), ""
}

// classify returns the kind of a type, or why the type is ignored. These are
// all ten types of the source (learn.microsoft.com, "Azure Key Vault as Event
// Grid source"); none of them says that a key was deleted. An unknown one about
// a key is a hint like any other.
func classify(typ string) (kind Kind, ignore string) {
	name, ok := strings.CutPrefix(strings.ToLower(typ), "microsoft.keyvault.")
	if !ok {
		return "", fmt.Sprintf("%q is not an event type of Key Vault", clip(typ))
	}
	switch name {
	case "keynearexpiry":
		return KeyNearExpiry, ""
	case "keyexpired":
		return KeyExpired, ""
	case "keynewversioncreated":
		return KeyNewVersion, ""
	case "vaultaccesspolicychanged":
		return AccessPolicyChanged, ""
	case "secretnewversioncreated", "secretnearexpiry", "secretexpired":
		return "", "about a secret; only keys encrypt clusters"
	case "certificatenewversioncreated", "certificatenearexpiry", "certificateexpired":
		return "", "about a certificate; only keys encrypt clusters"
	}
	if strings.HasPrefix(name, "key") && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") == "" {
		// Should Azure add an event of a key's deletion, it works that day.
		return KeyChanged, ""
	}
	return "", fmt.Sprintf("%q is a Key Vault event type that this version does not know", clip(typ))
}

// signalOf fills a signal and reports every problem to env's list. What it
// returns is meaningful only if nothing was reported.
func signalOf(kind Kind, env envelope, c azureid.Cloud) Signal {
	s := Signal{
		ID: env.id, Source: env.source, Type: env.typ, Kind: kind,
		Time: env.time, TraceParent: env.traceParent,
	}
	if env.fields == nil {
		return s
	}
	s.Vault = env.vault()
	if kind == AccessPolicyChanged {
		// No capture of this event exists: what its data holds is unknown, so
		// nothing of it is read.
		s.Subject = Subject{Kind: SubjectVault, ID: s.Vault.Key()}
		return s
	}
	data := env.child("data")
	if data.fields == nil {
		return s
	}
	s.Key = data.key("Id", c)
	s.NotBefore, s.Expires = data.epoch("NBF"), data.epoch("EXP")
	if !s.Key.IsZero() && !s.Vault.IsZero() && !strings.EqualFold(s.Key.VaultName(), s.Vault.Name()) {
		env.problem("%s names vault %q but data.Id is in vault %q: both must name the same vault; check who published this event",
			env.sourceField, clip(s.Vault.Name()), s.Key.VaultName())
	}
	s.Subject = Subject{Kind: SubjectKey, ID: s.Key.ID()}
	return s
}

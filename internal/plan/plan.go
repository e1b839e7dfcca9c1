// Package plan says what a remedy would do, as a value: ordered steps with an
// idempotency key, a read-back and an undo, in canonical JSON with a SHA-256;
// and which gates hold it. It is pure: facts, policy and now go in, a plan and
// rulings with reasons come out. Dry run and live make the same plan.
//
// It carries nothing out (internal/remedy does).
package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// Irreversible is the undo of a step that has none.
const Irreversible = "IRREVERSIBLE"

// StepKind is what a step does.
type StepKind string

// The kinds of step.
const (
	StepRotate StepKind = "rotate-key"
	StepAdopt  StepKind = "await-adoption" // v2: the service follows by itself; PATCH only if late
	StepRewire StepKind = "rewire-cluster" // v1: PATCH
	// StepTopic comes before an event subscription: the vault's system topic.
	StepTopic StepKind = "create-system-topic"
	// The steps away from a compromised key.
	StepCreateKey StepKind = "create-key"
	StepMove      StepKind = "move-cluster" // PATCH to the new key
)

// Step is one effect, or one awaited effect, of a plan.
type Step struct {
	Kind   StepKind `json:"kind"`
	Target string   `json:"target"` // key id or cluster ARM id, in comparing form
	From   string   `json:"from"`   // key version before
	To     string   `json:"to"`     // key version after; "new" until a rotation made it
	Call   string   `json:"call"`   // the external call, or "none (wait)"
	// Args are what the call carries beside its target.
	Args     map[string]string `json:"args,omitempty"`
	Key      string            `json:"key"` // idempotency key: remedy + subject + base version
	ReadBack string            `json:"readBack"`
	Undo     string            `json:"undo"`
}

// Consumer is one cluster that a plan touches.
type Consumer struct {
	Cluster string `json:"cluster"` // ARM id as given
	Kind    string `json:"kind"`
	Version string `json:"version"` // key version that it names now
	Owner   string `json:"owner,omitempty"`
}

// Plan is what we intend to do.
type Plan struct {
	Schema       int           `json:"schema"`
	ID           string        `json:"id"`
	Remedy       string        `json:"remedy"`
	Subject      event.Subject `json:"subject"`
	Key          azureid.Key   `json:"key"` // base version
	To           azureid.Key   `json:"to"`  // rewire: the target version; zero for rotate
	Created      time.Time     `json:"created"`
	PolicyHash   string        `json:"policyHash"`
	Consumers    []Consumer    `json:"consumers"`
	ConsumersAll bool          `json:"consumersAll"` // false: others may use the key that we cannot see
	ConsumersWhy string        `json:"consumersWhy,omitempty"`
	Steps        []Step        `json:"steps"`
	// Undoes is the plan that an undo takes back, Refused what it cannot, step by step.
	Undoes  string   `json:"undoes,omitempty"`
	Refused []string `json:"refused,omitempty"`
}

// Facts are what a plan and its gates rest on.
type Facts struct {
	Key       azureid.Key // the version that is to be replaced (rotate) or that the cluster names (rewire)
	To        azureid.Key // rewire only
	Cluster   wiring.Cluster
	Consumers wiring.Consumers // of the key; for a plan about a vault: of all keys in it, by id and key alone
	Wirings   []wiring.Wiring  // one per consumer, from the same run
	Versions  wiring.Fact[[]wiring.KeyVersion]
	Rotation  wiring.Fact[wiring.RotationPolicy]
	// Since is when the problem was opened that a repair is for.
	Since time.Time
	// GrantAtKey says that grants belong at the key's scope, not the vault's.
	GrantAtKey bool
	// Before are the grants by which the identity was seen to reach the key: restore-grant.
	Before []string
	// Toward are the clusters' chains as they would be with the key in To: quarantine.
	Toward []wiring.Wiring
	// Declared is what the policy says that remedies write.
	Declared policy.Declared
	// OurVersions are the versions that our own intents made.
	OurVersions map[string]bool
	// Undone is, by cluster (azureid.Resource.Key), what people took it back from.
	Undone map[string]Undone
}

// Keys are the keys, without a version, that the facts are about: one, but for those
// of a vault.
func (f Facts) Keys() []azureid.Key {
	out := []azureid.Key{f.Key.Base()}
	for _, c := range f.Consumers.Clusters {
		if c.CMK != nil && !c.CMK.Key.IsZero() && !slices.ContainsFunc(out, c.CMK.Key.SameKey) {
			out = append(out, c.CMK.Key.Base())
		}
	}
	return out
}

// ForRotation makes the plan that rotates f.Key and lets its consumers follow.
// Its id depends only on the key and its base version, so that the same need
// seen twice is one plan.
func ForRotation(f Facts, policyHash string, now time.Time) Plan {
	p := Plan{
		Schema: 1, Remedy: Rotate, Key: f.Key, Created: now.UTC(), PolicyHash: policyHash,
		Subject:      event.Subject{Kind: event.SubjectKey, ID: f.Key.ID()},
		ConsumersAll: f.Consumers.Complete, ConsumersWhy: f.Consumers.Why,
	}
	p.ID = store.Name(Rotate, f.Key.ID()+"/"+f.Key.Version)
	p.Steps = []Step{{
		Kind: StepRotate, Target: f.Key.ID(), From: f.Key.Version, To: "new",
		Call:     "POST " + f.Key.VaultURL() + "keys/" + f.Key.Name + "/rotate",
		Key:      EffectKey(Rotate, f.Key.ID(), f.Key.Version),
		ReadBack: "GET " + f.Key.VaultURL() + "keys/" + f.Key.Name + "/versions shows one version newer than " + f.Key.Version,
		Undo:     Irreversible + ": a version cannot be deleted; the old one stays enabled",
	}}
	for _, c := range sortedConsumers(f.Consumers.Clusters) {
		p.Consumers = append(p.Consumers, consumerOf(c))
		from := f.Key.Version
		if c.CMK != nil { // one that was left behind is on an older one
			from = c.CMK.Key.Version
		}
		p.Steps = append(p.Steps, followStep(c, from, "new"))
	}
	return p
}

// ForRewire makes the plan that points f.Cluster at f.To. Where people took it back
// from there, moving it again is another plan than the one that they undid.
func ForRewire(f Facts, policyHash string, now time.Time) Plan {
	step := followStep(f.Cluster, f.Key.Version, f.To.Version)
	step.Kind, step.Call = StepRewire, patchCall(f.Cluster)
	again := ""
	if u, ok := f.Undone[f.Cluster.ID.Key()]; ok && u.Version == f.To.Version {
		again = "|" + u.Plan
		step.Key = EffectKey(Rewire, f.Cluster.ID.Key(), f.To.Version+again)
	}
	return Plan{
		Schema: 1, Remedy: Rewire, Key: f.Key, To: f.To, Created: now.UTC(), PolicyHash: policyHash,
		ID:           store.Name(Rewire, f.Cluster.ID.Key()+"|"+f.To.ID()+"/"+f.To.Version+again),
		Subject:      event.Subject{Kind: event.SubjectCluster, ID: f.Cluster.ID.Key()},
		Consumers:    []Consumer{consumerOf(f.Cluster)},
		ConsumersAll: true,
		Steps:        []Step{step},
	}
}

// EffectKey is the once-only key of an effect: remedy, subject, base version.
func EffectKey(remedy, subject, base string) string {
	return store.Name(remedy, strings.ToLower(subject)+"|"+base)
}

// StepOn returns the plan's step on a target, or an empty one.
func (p Plan) StepOn(target string) Step {
	for _, s := range p.Steps {
		if s.Target == target {
			return s
		}
	}
	return Step{}
}

// Encode returns the plan's canonical JSON and its SHA-256 in hex.
func (p Plan) Encode() (raw []byte, sum string, err error) {
	raw, err = canonical.JSON(p)
	if err != nil {
		return nil, "", err
	}
	return raw, canonical.Hash(raw), nil
}

// Fingerprint is what an approval is bound to: the hash of everything in the
// plan but when it was made, so that the same need seen again is the same, and
// another version, consumer, call or policy is not.
func (p Plan) Fingerprint() (string, error) {
	p.Created = time.Time{}
	_, sum, err := p.Encode()
	return sum, err
}

func followStep(c wiring.Cluster, from, to string) Step {
	s := Step{
		Kind: StepRewire, Target: c.ID.Key(), From: from, To: to,
		Call:     patchCall(c),
		Key:      EffectKey(Rewire, c.ID.Key(), to),
		ReadBack: "GET " + c.ID.String() + " names version " + to + " with resourceState Running",
		Undo:     "PATCH the cluster back to version " + from + ", which stays enabled",
	}
	if c.Kind == "v2" {
		s.Kind = StepAdopt
		s.Call = "none: Azure Managed Redis adopts a new version by itself within two hours; PATCH only if late"
	}
	return s
}

func patchCall(c wiring.Cluster) string {
	return fmt.Sprintf("PATCH %s (identity, encryption.customerManagedKeyEncryption)", c.ID)
}

func consumerOf(c wiring.Cluster) Consumer {
	out := Consumer{Cluster: c.ID.String(), Kind: c.Kind, Owner: c.Tags["owner"]}
	if c.CMK != nil {
		out.Version = c.CMK.Key.Version
	}
	return out
}

// sortedConsumers puts the clusters that follow by themselves first and the
// rest by id: one order, so that the same facts give the same plan.
func sortedConsumers(in []wiring.Cluster) []wiring.Cluster {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b wiring.Cluster) int {
		return cmp.Or(cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.ID.Key(), b.ID.Key()))
	})
	return out
}

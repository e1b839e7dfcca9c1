package guard_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cmkguard/internal/approval"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
)

// model is a random world with its people, attackers and faults, and what must
// hold in it whatever happens.
type model struct {
	*world
	rt        *rapid.T
	seen      int                                 // calls that were judged
	answers   map[string]map[string]approval.Kind // by plan: who said what last
	strangers map[string]bool                     // versions that somebody else made
	paused    bool                                // since before the step began
	events    int
	others    string // what the vault's access policies give to everybody but the cluster; "" for a vault of roles
}

// TestWhateverHappens plays random worlds: an owner who takes away and gives back,
// people who decide well and badly, somebody who writes to the storage, forged and
// repeated events, faults at every call, policies that change, restarts. After
// each step the invariants hold (the law: what may be changed, by whose word).
func TestWhateverHappens(t *testing.T) {
	t.Parallel()
	for part := range 4 { // side by side: a run waits for the SDK's own retries
		t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
			t.Parallel()
			dir, profile := served(t, azuresim.New(azuresim.Options{}))
			runs, changes := 0, 0
			rapid.Check(t, func(rt *rapid.T) {
				for range part { // with a stated seed the parts would play the same worlds
					rapid.Uint64().Draw(rt, "another world")
				}
				m := newModel(t, rt, dir, profile)
				m.play()
				runs, changes = runs+1, changes+m.changes()
			})
			t.Logf("%d worlds, in which we changed something %d times", runs, changes)
			if changes == 0 {
				t.Error("nothing was ever changed: the worlds show nothing")
			}
		})
	}
}

func newModel(t *testing.T, rt *rapid.T, dir string, profile cloud.Profile) *model {
	kind := rapid.SampledFrom([]string{"v1", "v2"}).Draw(rt, "kind")
	o := setup{kind: kind, created: rapid.SampledFrom([]time.Duration{72 * time.Hour, 60 * 24 * time.Hour, year}).Draw(rt, "age"),
		loosest: true, dir: dir, profile: profile, declare: declaredAtRandom(rt), azure: azuresim.Options{SyncRefuse: rapid.Bool().Draw(rt, "refuse"), AddReplaces: rapid.Bool().Draw(rt, "replaces")}}
	m := &model{world: newWorld(t, o), rt: rt, answers: map[string]map[string]approval.Kind{}, strangers: map[string]bool{}}
	m.safeVault()
	if rapid.Bool().Draw(rt, "access policies") {
		m.accessPolicies()
		m.others = m.theirs()
	}
	return m
}

// theirs is what the access policies give to everybody but the cluster.
func (m *model) theirs() string {
	p := m.vault().Policies
	return fmt.Sprint(p[0], p[2:])
}

// declaredAtRandom is what the policy says that remedies write: each thing, or not.
func declaredAtRandom(rt *rapid.T) policy.Declared {
	var d policy.Declared
	for _, remedy := range []string{plan.SetRotationPolicy, plan.RestoreDiagnostics, plan.RecreateEvents} {
		if one := declared(remedy); rapid.Bool().Draw(rt, remedy) {
			d.Rotation.RotateAfter += one.Rotation.RotateAfter
			d.Rotation.ExpiryTime += one.Rotation.ExpiryTime
			d.Rotation.NotifyBefore += one.Rotation.NotifyBefore
			if one.Diagnostics.Set() {
				d.Diagnostics = one.Diagnostics
			}
			if one.Events.Set() {
				d.Events = one.Events
			}
		}
	}
	d.AccessPolicies = rapid.Bool().Draw(rt, "write access policies")
	return d
}

func (m *model) play() {
	steps := m.steps()
	names := slices.Sorted(maps.Keys(steps))
	for range rapid.IntRange(3, 14).Draw(m.rt, "steps") {
		name := rapid.SampledFrom(names).Draw(m.rt, "step")
		m.paused = m.g.Policy.Pause
		steps[name]()
		m.judge(name)
	}
	m.sim.ClearFaults()
	m.paused = m.g.Policy.Pause
	m.work(2 * time.Hour)
	m.judge("the end")
	if r := m.verify(); len(r.Problems) > 0 {
		m.rt.Fatalf("journal: %v", r.Problems)
	}
}

func (m *model) steps() map[string]func() {
	all := revocations()
	delete(all, "call the key compromised") // these work by themselves; the steps below are the bare acts
	delete(all, "take the access policy away")
	delete(all, "point the cluster back")
	pick := func(name string, n int) int { return rapid.IntRange(0, n-1).Draw(m.rt, name) }
	steps := map[string]func(){
		"work":     func() { m.work(time.Duration(1+pick("minutes", 40)) * time.Minute) },
		"work on":  func() { m.work(time.Duration(1+pick("hours", 30)) * time.Hour) },
		"an event": func() { m.event(m.sim.AccessPolicyChanged(host, fmt.Sprint("h", pick("id", 4)))) },
		"expiry":   func() { m.event(m.sim.NearExpiry(m.key, fmt.Sprint("e", pick("id", 4)))) },
		"a forged event": func() {
			raw := m.sim.NearExpiry(m.key, fmt.Sprint("f", pick("id", 4)))
			m.event(json.RawMessage(strings.ReplaceAll(string(raw), m.key.Version, strings.Repeat("f", 32))))
		},
		"a stranger's version": func() {
			m.strangers[m.sim.AddVersion(m.key, azuresim.KeyOptions{Created: m.sim.Clock().Now().Add(-time.Duration(pick("age", 20)) * 24 * time.Hour)}).Version] = true
		},
		"pointed elsewhere": func() {
			if v := m.sim.Versions(m.key); len(v) > 0 {
				to := m.key.At(v[pick("version", len(v))])
				m.sim.ChangeCluster(m.cluster, func(c *azuresim.Cluster) { c.CMK.KeyURL = to.String() })
			}
		},
		"an access policy taken away": func() {
			if m.others != "" {
				rights := [][]string{nil, {"get", "list"}, {"get", "wrapKey"}}[pick("left", 3)]
				m.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Policies[1].Keys = rights })
			}
		},
		"a compromise": func() {
			if len(m.sim.Versions(m.key)) > 0 {
				_, _ = m.g.AskQuarantine(ctx, m.key, newKey(), person(1+pick("person", 3)), "a backup was found") // refused: another is under way
			}
		},
		"given back": func() {
			m.sim.ChangeVersion(m.key, func(v *azuresim.Version) { v.Enabled, v.Ops = true, []string{"wrapKey", "unwrapKey"} })
			m.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Bypass, v.Deleted = "AzureServices", false; v.Keys["kek"].Deleted = nil })
		},
		"agreed": func() { // two people on one plan, and time to carry it out
			list := m.all()
			if len(list) == 0 {
				return
			}
			h := list[pick("plan", len(list))]
			for n := 1; n <= 2; n++ {
				m.say(h, approval.Approve, person(n))
			}
			m.work(20 * time.Minute)
		},
		"an undo": func() { // two people want what a plan did taken back
			list := m.all()
			if len(list) == 0 {
				return
			}
			h, err := m.g.Undo(ctx, list[pick("undone", len(list))].Plan.ID, person(1), "back")
			if err != nil {
				return
			}
			m.answers[h.Plan.ID] = map[string]approval.Kind{person(1).Object: approval.Approve}
			m.work(10 * time.Minute)
			m.say(h, approval.Approve, person(2))
			m.work(20 * time.Minute)
		},
		"a decision":        func() { m.decide(approval.Approve) },
		"another decision":  func() { m.decide(approval.Approve) },
		"a denial":          func() { m.decide(approval.Deny) },
		"a forged decision": m.forge,
		"hold":              func() { m.tag(map[string]string{guardHold: "x"}) },
		"release":           func() { m.tag(nil) },
		"pause":             func() { m.g.Policy.Pause = !m.g.Policy.Pause },
		"a mode": func() {
			m.g.Policy.Remedies[plan.Rotate] = rapid.SampledFrom([]policy.Mode{policy.Off, policy.DryRun, policy.Approve, policy.Auto}).Draw(m.rt, "mode")
		},
		"a log cut": func() {
			if m.vault().Deleted {
				return
			}
			m.sim.SetDiagnostics(host, nil)
			m.event(m.sim.ResourceDeleted("Microsoft.Insights/diagnosticSettings/delete", root+"Microsoft.KeyVault/vaults/kv-a"+settingPath))
		},
		"a subscription cut": func() {
			m.sim.SetEvents(host, "", nil)
			m.event(m.sim.ResourceDeleted("Microsoft.EventGrid/systemTopics/eventSubscriptions/delete", topicOf+"/eventSubscriptions/cmkguard"))
		},
		"a fault": m.fault,
		"a restart": func() {
			old := m.g
			m.g = m.boot(parts{backend: m.b})
			m.g.Policy = old.Policy
		},
	}
	for name, r := range all {
		steps[name] = func() {
			if v := m.vault(); !v.Deleted && v.Keys["kek"].Deleted == nil {
				r.revoke(m.world)
			}
		}
	}
	return steps
}

const guardHold = plan.HoldTag

func (m *model) tag(tags map[string]string) {
	m.sim.ChangeCluster(m.cluster, func(c *azuresim.Cluster) { c.Tags = tags })
}

func (m *model) event(raw json.RawMessage) {
	m.events++
	_ = m.g.Take(ctx, "keyvaultevents", raw) // an error: the sender comes again, or not
}

// work pumps for d of the world's time; what fails comes again by itself.
func (m *model) work(d time.Duration) {
	step := max(time.Minute, d/20)
	for end := m.sim.Clock().Now().Add(d); m.sim.Clock().Now().Before(end); m.sim.Clock().Advance(step) {
		for range 20 {
			ms, err := m.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
			must(m.t, err)
			if len(ms) == 0 {
				break
			}
			for _, msg := range ms {
				if m.g.Work(ctx, msg.Body) == nil {
					_ = m.b.Queue.Done(ctx, guard.WorkQueue, msg)
				}
			}
		}
		_ = m.g.Sweep(ctx)
	}
}

func (m *model) fault() {
	f := azuresim.Fault{Times: 1 + rapid.IntRange(0, 2).Draw(m.rt, "times"), Delay: 90 * time.Second}
	f.Method = rapid.SampledFrom([]string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut}).Draw(m.rt, "method")
	f.Mode = rapid.SampledFrom([]azuresim.Mode{azuresim.Refuse, azuresim.After, azuresim.Drop, azuresim.Late}).Draw(m.rt, "fault")
	f.Status = rapid.SampledFrom([]int{403, 409, 429, 500, 503, 504}).Draw(m.rt, "status")
	f.Code = "Injected"
	if f.Method == http.MethodGet && f.Mode == azuresim.Late {
		f.Mode = azuresim.Refuse
	}
	m.sim.Inject(f)
}

func (m *model) all() []guard.Held {
	rows, err := m.b.State.Scan(ctx, "plans", "", "", 100)
	must(m.t, err)
	var out []guard.Held
	for _, row := range rows {
		if h, err := m.g.Find(ctx, row.Key); err == nil {
			out = append(out, h)
		}
	}
	return out
}

func (m *model) decide(kind approval.Kind) {
	list := m.all()
	if len(list) == 0 {
		return
	}
	h := list[rapid.IntRange(0, len(list)-1).Draw(m.rt, "plan")]
	m.say(h, kind, person(rapid.IntRange(1, 3).Draw(m.rt, "person")))
}

func (m *model) say(h guard.Held, kind approval.Kind, who approval.Person) {
	if _, err := m.g.Decide(ctx, h.Plan.ID, kind, who, "because"); err == nil {
		if m.answers[h.Plan.ID] == nil {
			m.answers[h.Plan.ID] = map[string]approval.Kind{}
		}
		m.answers[h.Plan.ID][who.Object] = kind
	}
}

// forge writes decisions as somebody who holds the storage but not the key would:
// made up, or copied from another plan.
func (m *model) forge() {
	list := m.all()
	if len(list) == 0 {
		return
	}
	h := list[rapid.IntRange(0, len(list)-1).Draw(m.rt, "plan")]
	sum, err := h.Plan.Fingerprint()
	must(m.t, err)
	for n := 7; n <= 8; n++ {
		m.put(h.Partition, fmt.Sprint("approval~forged", n), approval.Decision{Schema: 1, Matter: h.Plan.ID, Hash: sum, Kind: approval.Approve,
			By: person(n), At: m.sim.Clock().Now(), Expires: m.sim.Clock().Now().Add(time.Hour), Seal: strings.Repeat("0", 64)})
	}
}

package guard_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cmkguard/internal/alert"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
	"cmkguard/internal/store/memstore"
)

const (
	stepTime = 30 * time.Minute // between two changes of a scenario
	endTime  = 5 * time.Hour    // what is begun at the end is over by then
)

// letter is one thing that the world told: an event of Event Grid, or a record of a
// vault's log.
type letter struct {
	audit bool
	raw   json.RawMessage
}

// telling is one run of a scenario: a world, and what it told that is not yet
// delivered.
type telling struct {
	*world
	box []letter
	all bool // our own reading too
}

func newTelling(t *testing.T, dir string, profile cloud.Profile, kind string, loosest bool) *telling {
	return newTellingOf(t, dir, profile, kind, loosest, azuresim.Options{})
}

func newTellingOf(t *testing.T, dir string, profile cloud.Profile, kind string, loosest bool, o azuresim.Options) *telling {
	r := &telling{}
	reads := regexp.MustCompile(`"operationName":"Key(Get|ListVersions|RotationPolicyGet|GetDeleted|List)".*"httpStatusCode":200|"httpStatusCode":200.*"operationName":"Key(Get|ListVersions|RotationPolicyGet|GetDeleted|List)"`)
	note := func(audit bool) func([]byte) {
		return func(raw []byte) {
			if !audit || r.all || !reads.Match(raw) { // our own reading, which the doors drop
				r.box = append(r.box, letter{audit, raw})
			}
		}
	}
	o.OnEvent, o.OnAudit = note(false), note(true)
	r.world = newWorld(t, setup{kind: kind, created: year, mode: policy.DryRun, loosest: loosest, dir: dir, profile: profile,
		azure: o})
	return r
}

// collect returns what was told since the last time.
func (r *telling) collect() []letter {
	out := r.box
	r.box = nil
	return out
}

// deliver brings a letter by one of the doors that it could come by.
func (r *telling) deliver(l letter, door int) {
	if l.audit {
		_, err := r.g.TakeLogs(ctx, "vaultlogs", [][]byte{append(append([]byte(`{"records":[`), l.raw...), `]}`...)})
		must(r.t, err)
		return
	}
	must(r.t, r.g.Take(ctx, []string{"keyvaultevents", "resourceevents", "eventqueue"}[door%3], l.raw))
}

// until works and lets the clock go on to at; hear is called whenever the world told
// something meanwhile.
func (r *telling) until(at time.Time, hear func()) {
	for {
		ms, err := r.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
		must(r.t, err)
		for _, m := range ms {
			must(r.t, r.g.Work(ctx, m.Body))
			must(r.t, r.b.Queue.Done(ctx, guard.WorkQueue, m))
		}
		if len(r.box) > 0 {
			hear()
		}
		if len(ms) > 0 {
			continue
		}
		left := at.Sub(r.sim.Clock().Now())
		if left <= 0 {
			return
		}
		r.sim.Clock().Advance(min(left, time.Minute))
	}
}

// finish is the one sweep that looks at everything, and the time for what follows.
func (r *telling) finish(hear func()) {
	r.g.Reconcile = time.Hour
	must(r.t, r.g.Sweep(ctx))
	r.until(r.sim.Clock().Now().Add(endTime), hear)
}

// changes are what people do to the world, each told in its own way. All of them set
// something, whatever it was before.
func changes() map[string]func(*telling) {
	version := func(change func(*azuresim.Version)) func(*telling) {
		return func(r *telling) { r.sim.ChangeVersion(r.key, change) }
	}
	vault := func(change func(*azuresim.Vault)) func(*telling) {
		return func(r *telling) { r.sim.ChangeVault(host, change) }
	}
	cluster := func(change func(*azuresim.Cluster)) func(*telling) {
		return func(r *telling) { r.sim.ChangeCluster(r.cluster, change) }
	}
	expire := func(days int) func(*telling) {
		at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, days)
		return version(func(v *azuresim.Version) { v.Expires = &at })
	}
	return map[string]func(*telling){
		"delete the key":      func(r *telling) { r.sim.DeleteKey(r.key) },
		"recover the key":     func(r *telling) { r.sim.RecoverKey(r.key) },
		"disable the version": version(func(v *azuresim.Version) { v.Enabled = false }),
		"enable the version":  version(func(v *azuresim.Version) { v.Enabled = true }),
		"it expires soon":     expire(5),
		"it expires late":     expire(300),
		"strip operations":    version(func(v *azuresim.Version) { v.Ops = []string{"sign"} }),
		"give operations":     version(func(v *azuresim.Version) { v.Ops = []string{"wrapKey", "unwrapKey"} }),
		"take the grant":      func(r *telling) { r.sim.Unassign(who) },
		"give the grant": func(r *telling) {
			r.sim.Grant(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
		},
		"close the vault": vault(func(v *azuresim.Vault) {
			v.Bypass, v.DefaultAction, v.IPRules = "None", "Deny", []string{"203.0.113.0/24"}
		}),
		"open the vault":      vault(func(v *azuresim.Vault) { v.Bypass, v.DefaultAction, v.IPRules = "AzureServices", "Allow", nil }),
		"delete the vault":    vault(func(v *azuresim.Vault) { v.Deleted = true }),
		"recover the vault":   vault(func(v *azuresim.Vault) { v.Deleted = false }),
		"detach the identity": cluster(func(c *azuresim.Cluster) { c.Identities = nil }),
		"attach the identity": cluster(func(c *azuresim.Cluster) { c.Identities = []azureid.Resource{c.CMK.IdentityID} }),
		"hold":                cluster(func(c *azuresim.Cluster) { c.Tags = map[string]string{guardHold: "x"} }),
		"release":             cluster(func(c *azuresim.Cluster) { c.Tags = nil }),
		"a stranger's version": func(r *telling) {
			r.sim.CreateVersion(r.key, azuresim.KeyOptions{})
		},
		"an expiry event": func(r *telling) {
			r.box = append(r.box, letter{raw: r.sim.NearExpiry(r.key, "expiry")})
		},
	}
}

// outcome is where a run ended.
type outcome struct {
	incidents map[string]incident.State // by dedup key; not those that are over
	effects   []string                  // what we changed, in order
	told      map[string]bool           // or held by what it follows from: dedup key and lifecycle
	world     string                    // what is there
}

func (r *telling) outcome() outcome {
	o := outcome{incidents: map[string]incident.State{}, told: map[string]bool{}}
	c := r.sim.Cluster(r.cluster)
	for _, s := range []event.Subject{
		{Kind: event.SubjectKey, ID: r.key.ID()}, {Kind: event.SubjectCluster, ID: r.cluster.Key()},
		{Kind: event.SubjectVault, ID: strings.ToLower(root + "Microsoft.KeyVault/vaults/kv-a")},
		{Kind: event.SubjectIdentity, ID: strings.ToLower(root + "Microsoft.ManagedIdentity/userAssignedIdentities/id-a")},
	} {
		rows, err := r.b.State.Scan(ctx, incident.Partition(s), "incident~", "incident~~", 100)
		must(r.t, err)
		for _, row := range rows {
			var i incident.Incident
			must(r.t, json.Unmarshal(row.Value, &i))
			// CMK-057 answers by what the log claimed; what of it was lost is not to be seen.
			if i.State != incident.Resolved && i.Check != "CMK-057" {
				o.incidents[i.DedupKey()] = i.State
			}
		}
		// What follows from a problem that was told waits for its end: that is as good.
		rows, err = r.b.State.Scan(ctx, incident.Partition(s), "outbox~", "outbox~~", 1000)
		must(r.t, err)
		for _, row := range rows {
			var n alert.Notification
			must(r.t, json.Unmarshal(row.Value, &n))
			if n.State == alert.Pending && n.Held != nil && n.Held.Kind == alert.HoldInhibition {
				o.told[n.Alert.DedupKey+" "+string(n.Alert.Lifecycle)] = true
			}
		}
	}
	version := regexp.MustCompile(`[0-9a-f]{32}`)
	for _, call := range r.sim.Calls() {
		if call.Method != http.MethodGet && call.Status < 400 && call.Caller != "" && !strings.HasSuffix(call.Path, "/resources") {
			o.effects = append(o.effects, version.ReplaceAllString(call.Method+" "+call.Path, "V"))
		}
	}
	for _, a := range r.told.all {
		o.told[a.DedupKey+" "+string(a.Lifecycle)] = true
	}
	o.world = fmt.Sprintf("%d versions, on the newest %v, %s", len(r.sim.Versions(r.key)), r.onNewest(), c.ResourceState)
	return o
}

// scene is what happens, and when it is told. settled: nothing is delivered before
// everything has happened, so that what is done depends on where it ended alone.
type scene struct {
	kind    string
	auto    bool
	settled bool
	changes []string
}

// play lets the changes happen; some is called after each, work says whether there
// is time to work before the next.
func (r *telling) play(s scene, some func(), work func() bool) {
	all := changes()
	r.g.Reconcile = time.Hour // it has been here for a while
	must(r.t, r.g.Sweep(ctx))
	r.until(r.sim.Clock().Now().Add(stepTime), func() { r.box = nil })
	r.g.Reconcile = 0
	for _, name := range s.changes {
		all[name](r)
		next := r.sim.Clock().Now().Add(stepTime)
		if !s.settled {
			some()
			if work() {
				r.until(next, some)
			}
		}
		r.sim.Clock().Advance(max(0, next.Sub(r.sim.Clock().Now())))
	}
	some()
	r.until(r.sim.Clock().Now().Add(stepTime), some)
	r.finish(some)
}

// orderly delivers each letter once, in order, as soon as it was told, and works.
func orderly(r *telling, s scene) outcome {
	r.play(s, func() {
		for _, l := range r.collect() {
			r.deliver(l, 0)
		}
	}, func() bool { return true })
	return r.outcome()
}

// disorderly loses letters, doubles them, and delivers them late, in any order and by
// any door, and works only now and then.
func disorderly(rt *rapid.T, r *telling, s scene) outcome {
	var late []letter
	r.play(s, func() {
		for _, l := range r.collect() {
			for range rapid.SampledFrom([]int{0, 0, 1, 1, 1, 2, 3}).Draw(rt, "copies") {
				late = append(late, l)
			}
		}
		if len(late) == 0 {
			return
		}
		for range rapid.IntRange(0, len(late)).Draw(rt, "arrive") {
			at := rapid.IntRange(0, len(late)-1).Draw(rt, "which")
			r.deliver(late[at], rapid.IntRange(0, 2).Draw(rt, "door"))
			late = slices.Delete(late, at, at+1)
		}
	}, func() bool { return rapid.Bool().Draw(rt, "work") })
	return r.outcome()
}

// hidden returns what nobody can tell at the end, by dedup key: what one who comes
// anew finds uncertain, and everything about a key that is not there to be read. Of
// that, each run is left with what it saw last.
func (r *telling) hidden() func(what string) bool {
	late := &world{t: r.t, sim: r.sim, key: r.key, cluster: r.cluster, told: &told{}, b: memstore.New(r.sim.Clock().Now).Backend()}
	late.g = r.boot(parts{backend: late.b, channel: late.told})
	anew := &telling{world: late}
	anew.finish(func() { anew.box = nil })
	found := anew.outcome().incidents
	gone := r.vault().Deleted || r.vault().Keys["kek"].Deleted != nil
	return func(what string) bool {
		_, seen := found[what]
		return found[what] == incident.Uncertain || gone && !seen
	}
}

// TestAnyOrderEndsTheSame: events are hints. Whatever of a scenario's is lost, comes
// twice, late, out of order or by another door, after one sweep at the end the state
// is that of the run in which each came once and in order, nothing was done that that
// run did not do, and nobody is left untold of what is broken.
func TestAnyOrderEndsTheSame(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(maps.Keys(changes()))
	dir, profile := served(t, azuresim.New(azuresim.Options{}))
	cases, acted := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		s := scene{kind: rapid.SampledFrom([]string{"v1", "v2"}).Draw(rt, "kind"), auto: rapid.Bool().Draw(rt, "auto"),
			changes: rapid.SliceOfN(rapid.SampledFrom(names), 1, 4).Draw(rt, "scenario")}
		s.settled = s.auto && rapid.Bool().Draw(rt, "settled")
		run := func() *telling { return newTelling(t, dir, profile, s.kind, s.auto) }
		want := orderly(run(), s)
		for range 3 {
			r := run()
			compare(rt, s, want, disorderly(rt, r, s), sync.OnceValue(r.hidden))
			cases++
		}
		if len(want.effects) > 0 {
			acted++
		}
	})
	t.Logf("%d runs out of order; %d scenarios in which we changed something", cases, acted)
	if acted == 0 {
		t.Error("nothing was ever changed: the effects were not compared")
	}
}

func compare(rt *rapid.T, s scene, want, got outcome, hidden func() func(string) bool) {
	rt.Helper()
	for _, e := range got.effects {
		if !slices.Contains(want.effects, e) {
			rt.Errorf("changed: %s, and not in order: %q", e, want.effects)
		}
	}
	if s.auto && !s.settled {
		return // what is done early makes another world
	}
	if !slices.Equal(want.effects, got.effects) || want.world != got.world {
		rt.Errorf("changed: %q (%s), in order: %q (%s)", got.effects, got.world, want.effects, want.world)
	}
	all := maps.Clone(want.incidents)
	maps.Copy(all, got.incidents)
	for what := range all {
		if is, was := got.incidents[what], want.incidents[what]; is != was && !hidden()(what) {
			rt.Errorf("%s is %q, in order %q", what, is, was)
		}
	}
	for key := range got.told {
		what, life, _ := strings.Cut(key, " ")
		if life == string(alert.Update) && want.told[what+" "+string(alert.Trigger)] {
			continue // in order it had ended in between, and began anew
		}
		if !want.told[key] && !hidden()(what) {
			rt.Errorf("told: %s, and not in order", key)
		}
	}
	for what, is := range got.incidents { // what had healed before anybody looked may be untold
		if key := what + " " + string(alert.Trigger); want.told[key] && is == incident.Open && !got.told[key] {
			rt.Errorf("not told: %s", key)
		}
	}
}

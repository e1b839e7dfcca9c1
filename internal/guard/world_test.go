package guard_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/hold"
	"cmkguard/internal/alert/route"
	"cmkguard/internal/approval"
	"cmkguard/internal/azure/access"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/cluster"
	"cmkguard/internal/azure/ears"
	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azure/vault"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/guard"
	"cmkguard/internal/journal"
	"cmkguard/internal/limit"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
	"cmkguard/internal/remedy"
	"cmkguard/internal/remedy/repairs"
	"cmkguard/internal/remedy/rewire"
	"cmkguard/internal/remedy/rotate"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

// told keeps the alerts that were delivered.
type told struct {
	mu  sync.Mutex
	all []alert.Alert
}

func (c *told) Send(_ context.Context, a alert.Alert) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, a)
	return a.ID, nil
}

func (c *told) has(check, text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.all {
		if (check == "" || a.Check == check) && strings.Contains(fmt.Sprint(a.Title, a.What, a.Done), text) {
			return true
		}
	}
	return false
}

// triggers counts the check's problems that people were told of.
func (c *told) triggers(check string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.all {
		if a.Check == check && a.Lifecycle == alert.Trigger {
			n++
		}
	}
	return n
}

// world is a guard over the real SDK clients, a simulated Azure over HTTPS, and
// one store.
type world struct {
	t       testing.TB
	sim     *azuresim.Sim
	g       *guard.Guard
	b       store.Backend
	told    *told
	key     azureid.Key
	cluster azureid.Resource
	verify  func() journal.Report
	boot    func(parts) *guard.Guard
	drift   *cloud.Drift
	ids     atomic.Int64
}

type setup struct {
	// Not empty: the world is carried in memory, over this profile, whose folder
	// holds the journal's key.
	dir     string
	profile cloud.Profile
	kind    string
	created time.Duration // age of the key's first version
	mode    policy.Mode
	observe string
	loosest bool             // every remedy at its ceiling
	declare policy.Declared  // what the policy says that remedies write
	azure   azuresim.Options // where Azure is undocumented: its other answers
	// change is what is different about the policy, and about who receives at its
	// channels.
	change func(*policy.Policy, map[string]alert.Channel)
}

func newWorld(t testing.TB, o setup) *world {
	t.Helper()
	w := &world{t: t, sim: azuresim.New(o.azure), told: &told{}}
	sample := w.sim.AddSample(o.kind, o.created)
	w.key, w.cluster = sample.Key, sample.Cluster
	dir, profile := o.dir, o.profile.WithTransport(w.sim.Transport())
	if dir == "" {
		dir, profile = served(t, w.sim)
	}
	w.b = memstore.New(w.sim.Clock().Now).Backend()
	w.boot = func(parts parts) *guard.Guard { return w.build(o, profile, dir, parts) }
	w.g = w.boot(parts{backend: w.b})
	return w
}

// served puts the world behind HTTPS.
func served(t testing.TB, sim *azuresim.Sim) (dir string, profile cloud.Profile) {
	t.Helper()
	server, err := sim.Serve()
	must(t, err)
	t.Cleanup(server.Close)
	dir = t.TempDir()
	path, err := server.WriteProfile(dir, "token")
	must(t, err)
	profile, err = cloud.Load(path)
	must(t, err)
	return dir, profile
}

// parts are what a test puts in place of the ordinary.
type parts struct {
	backend  store.Backend
	vault    func(rotate.Vault) rotate.Vault
	clusters func(rewire.Clusters) rewire.Clusters
	channel  alert.Channel
	repairs  func(map[string]guard.RepairMaker) map[string]guard.RepairMaker
}

// build makes a guard as a process that starts would.
func (w *world) build(o setup, profile cloud.Profile, dir string, with parts) *guard.Guard {
	now := w.sim.Clock().Now
	b := with.backend
	rec := journal.NewRecorder(b.State, "test", now)
	signer, text, err := journal.LoadOrCreateKey(filepath.Join(dir, "key.pem"), rand.Reader)
	must(w.t, err)
	v, err := journal.NewVerifier(text)
	must(w.t, err)
	w.verify = func() journal.Report {
		r, err := journal.Verify(ctx, w.b.Log, w.b.State, v, journal.VerifyOptions{})
		must(w.t, err)
		return r
	}
	if w.drift == nil {
		w.drift = cloud.NewDrift(now)
	}
	profile = profile.WithGate(limit.New(b.State, now)).WithDrift(w.drift)
	cred, err := profile.Credential("")
	must(w.t, err)
	sv, err := survey.Connect(profile, cred, []string{sub}, now)
	must(w.t, err)
	var vaults rotate.Vault
	vaults, err = vault.New(profile, cred, now)
	must(w.t, err)
	if with.vault != nil {
		vaults = with.vault(vaults)
	}
	var clusters rewire.Clusters
	clusters, err = cluster.New(profile, cred, now)
	must(w.t, err)
	if with.clusters != nil {
		clusters = with.clusters(clusters)
	}
	reads, err := access.New(profile, cred, now)
	must(w.t, err)
	writer, err := access.NewWriter(profile, cred, reads)
	must(w.t, err)
	keys, err := vault.New(profile, cred, now)
	must(w.t, err)
	moves, err := cluster.New(profile, cred, now)
	must(w.t, err)
	people, err := approval.NewSeal(bytes.Repeat([]byte{7}, 32))
	must(w.t, err)
	hears, err := ears.New(profile, cred, now)
	must(w.t, err)
	makers := repairs.Over(keys, moves, writer, hears)
	if with.repairs != nil {
		makers = with.repairs(makers)
	}
	newID := func() string { return fmt.Sprintf("id-%d", w.ids.Add(1)) }
	pol := policy.Default()
	pol.Declared = o.declare
	pol.Remedies = map[string]policy.Mode{plan.Rotate: o.mode, plan.Rewire: o.mode}
	if o.loosest {
		pol.Remedies = plan.Ceilings()
	}
	channels := map[string]alert.Channel{}
	for _, c := range pol.Channels {
		channels[c.Name] = w.told
		if with.channel != nil {
			channels[c.Name] = with.channel
		}
	}
	if o.change != nil {
		o.change(pol, channels)
	}
	return &guard.Guard{
		Cloud: profile.Cloud, Policy: pol, Observe: o.observe, CanWrite: true, State: b.State, Queue: b.Queue, Rec: rec,
		Alerts: alert.NewDispatcher(b.State, rec, channels, now, func() float64 { return 0 }).Under(alert.Rules{
			Group:     func(a alert.Alert, channel string) (alert.Group, bool) { return route.Group(pol, a, channel) },
			Storm:     func(channel string) alert.Storm { return route.Storm(pol, channel) },
			Everybody: pol.Everybody(), Holds: hold.Holder{State: b.State, Policy: pol, Now: now},
		}),
		Seal:   journal.NewSequencer(b, signer, "test", now),
		Survey: func() guard.Survey { return sv.Run() }, Vault: vaults, Clusters: clusters, Now: now, NewID: newID,
		Repairs: makers, People: people,
		Effects: &remedy.Runner{State: b.State, Rec: rec, Now: now, NewID: newID, Poll: 15 * time.Second},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) take(body json.RawMessage) {
	w.t.Helper()
	must(w.t, w.g.Take(ctx, "keyvaultevents", body))
}

// run works until the queue has been empty for hours of the world's time.
func (w *world) run(hours int) {
	w.t.Helper()
	for range hours * 30 {
		for {
			ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
			must(w.t, err)
			if len(ms) == 0 {
				break
			}
			for _, m := range ms {
				must(w.t, w.g.Work(ctx, m.Body))
				must(w.t, w.b.Queue.Done(ctx, guard.WorkQueue, m))
			}
		}
		w.sim.Clock().Advance(2 * time.Minute)
	}
	must(w.t, w.g.Sweep(ctx))
}

func (w *world) rotates() int { return w.sim.Count(http.MethodPost, "/rotate") }

func (w *world) writes() int {
	return w.rotates() + w.sim.Count(http.MethodPatch, w.cluster.String())
}

func (w *world) onNewest() bool {
	all := w.sim.Versions(w.key)
	return strings.HasSuffix(w.sim.Cluster(w.cluster).CMK.KeyURL, all[len(all)-1])
}

package guard

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/drill"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// drillPrefix begins every partition of a drill: nothing in one is an incident, a plan or
// an action of the real world, and the real guard works on none of it.
const drillPrefix = "drill~"

// drilling marks the guard of a drill.
type drilling struct {
	prefix string // of its partitions; "": this is no drill
	check  string // that it is about
}

// IsDrill reports whether a partition is a drill's: figures leave it out.
func IsDrill(partition string) bool { return strings.HasPrefix(partition, drillPrefix) }

// stage is one drill: the real reads with the fault laid over them, and the last step
// simulated. It holds nothing that could write to Azure.
type stage struct {
	mu       sync.Mutex
	id       string
	scenario string
	target   azureid.Resource
	real     func() Survey
	now      func() time.Time
	before   bool   // the fault has not happened yet
	lifted   bool   // it is over, by its owner or by a simulated repair
	made     string // the version that a simulated rotation made
	moved    bool
	written  []string // partitions, with their prefix
}

// view lays over a chain of the target what the drill plays.
func (s *stage) view(w wiring.Wiring) wiring.Wiring {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.ID.Equal(s.target) {
		return w
	}
	if !s.lifted {
		w = drill.Overlay(w, s.scenario, s.before, s.now())
	}
	if s.made == "" {
		return w
	}
	v, ok := w.Version(w.Key())
	if !ok {
		return w
	}
	year := s.now().AddDate(1, 0, 0).UTC()
	v.Key, v.Created, v.Expires = v.Key.At(s.made), s.now().UTC().Truncate(time.Second), &year
	w.Versions.Value = append(slices.Clone(w.Versions.Value), v)
	if s.moved || w.Cluster.Value.Kind == "v2" {
		cmk := *w.Cluster.Value.CMK
		cmk.Key, cmk.KeyURL = v.Key, v.Key.String()
		w.Cluster.Value.CMK, w.InUse.Value.Key = &cmk, v.Key
	}
	return w
}

func (s *stage) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// drillSurvey is the real survey of one cluster.
type drillSurvey struct {
	Survey
	s *stage
}

func (d drillSurvey) Wiring(ctx context.Context, id azureid.Resource) wiring.Wiring {
	return d.s.view(d.Survey.Wiring(ctx, id))
}

func (d drillSurvey) only(ctx context.Context, all []wiring.Cluster) []wiring.Cluster {
	for _, c := range all {
		if c.ID.Equal(d.s.target) {
			if w := d.Wiring(ctx, c.ID); w.Cluster.OK() {
				return []wiring.Cluster{w.Cluster.Value}
			}
		}
	}
	return nil
}

func (d drillSurvey) Consumers(ctx context.Context, k azureid.Key) wiring.Consumers {
	c := d.Survey.Consumers(ctx, k)
	c.Clusters = d.only(ctx, c.Clusters)
	return c
}

func (d drillSurvey) ClustersOfVault(ctx context.Context, vault azureid.Resource) ([]wiring.Cluster, bool, string) {
	all, complete, why := d.Survey.ClustersOfVault(ctx, vault)
	return d.only(ctx, all), complete, why
}

func (d drillSurvey) Keyed(ctx context.Context) ([]wiring.Cluster, bool, string) {
	all, complete, why := d.Survey.Keyed(ctx)
	return d.only(ctx, all), complete, why
}

// Versions implements rotate.Vault by the view.
func (s *stage) Versions(ctx context.Context, _ azureid.Key) wiring.Fact[[]wiring.KeyVersion] {
	return drillSurvey{s.real(), s}.Wiring(ctx, s.target).Versions
}

// Rotate implements rotate.Vault: the last step, simulated.
func (s *stage) Rotate(_ context.Context, k azureid.Key, _ string) (azureid.Key, error) {
	s.set(func() { s.made = drill.Version })
	return k.At(drill.Version), nil
}

// Get implements rewire.Clusters by the view.
func (s *stage) Get(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Cluster] {
	return drillSurvey{s.real(), s}.Wiring(ctx, id).Cluster
}

// Rewire implements rewire.Clusters: the last step, simulated.
func (s *stage) Rewire(context.Context, wiring.Cluster, azureid.Key, string) (string, error) {
	s.set(func() { s.moved = true })
	return "", nil
}

// Poll implements rewire.Clusters.
func (s *stage) Poll(context.Context, string) (bool, error) { return true, nil }

// repairs gives every repair an effect that only ends the exercise's fault.
func (s *stage) repairs() map[string]RepairMaker {
	out := map[string]RepairMaker{}
	for name := range plan.Ceilings() {
		out[name] = func(p plan.Plan, partition string) (remedy.Effect, error) {
			e := remedy.Repair(partition, p.Steps[0].Key, p.Subject.String(), p.ID, "simulated: "+p.Remedy)
			e.Look = func(context.Context, time.Time) (remedy.Sight, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				return remedy.Sight{Done: s.lifted, Result: "simulated"}, nil
			}
			e.Act = func(context.Context, string) (string, error) { s.set(func() { s.lifted = true }); return "", nil }
			return e, nil
		}
	}
	return out
}

// drillState keeps everything of a drill in partitions of its own.
type drillState struct {
	store.State
	prefix string
}

func (d drillState) Get(ctx context.Context, partition, key string) (store.Row, bool, error) {
	return d.State.Get(ctx, d.prefix+partition, key)
}

func (d drillState) Scan(ctx context.Context, partition, from, to string, limit int) ([]store.Row, error) {
	return d.State.Scan(ctx, d.prefix+partition, from, to, limit)
}

func (d drillState) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	return d.State.Apply(ctx, d.prefix+partition, ops)
}

// drillRecorder writes the same way into the one journal, marked.
type drillRecorder struct {
	Recorder
	prefix string
	s      *stage
}

func (d drillRecorder) Commit(ctx context.Context, partition string, entries []journal.Entry, ops ...store.Op) error {
	marked := slices.Clone(entries)
	for i := range marked {
		marked[i].Text = clip("[DRILL] "+marked[i].Text, 1000)
	}
	d.s.set(func() {
		if !slices.Contains(d.s.written, d.prefix+partition) {
			d.s.written = append(d.s.written, d.prefix+partition)
		}
	})
	return d.Recorder.Commit(ctx, d.prefix+partition, marked, ops...)
}

// drillDispatcher delivers by the real channels.
type drillDispatcher struct {
	Dispatcher
	prefix string
}

func (d drillDispatcher) Dispatch(ctx context.Context, partition string) (int, time.Time, error) {
	return d.Dispatcher.Dispatch(ctx, d.prefix+partition)
}

func (d drillDispatcher) Direct(ctx context.Context, a alert.Alert, channels []string) []error {
	return d.Dispatcher.Direct(ctx, marked(a, d.prefix), channels)
}

// marked is an alert as a drill tells it: never to be taken for a real one, nor to be
// joined with one, held by one, or to hide one.
func marked(a alert.Alert, prefix string) alert.Alert {
	a.Drill, a.Event, a.Key = true, "", ""
	a.Commands, a.Links, a.DryRun = nil, nil, false // what is real is not touched for an exercise
	a.DedupKey, a.GroupKey, a.Vault, a.Upstream = prefix+a.DedupKey, prefix+a.GroupKey, "", nil
	if len(a.DedupKey) > 255 {
		a.DedupKey = store.Name(strings.TrimSuffix(prefix, "~"), a.DedupKey)
	}
	return a
}

// drillQueue holds a drill's own messages in memory; what is to come later is left out.
type drillQueue struct{ bodies [][]byte }

func (q *drillQueue) Put(_ context.Context, queue string, body []byte, delay time.Duration) error {
	if queue == WorkQueue && delay <= 0 {
		q.bodies = append(q.bodies, slices.Clone(body))
	}
	return nil
}

func (q *drillQueue) Take(context.Context, string, int, time.Duration) ([]store.Message, error) {
	return nil, nil
}

func (q *drillQueue) Done(context.Context, string, store.Message) error { return nil }

// next returns a message, or nil.
func (q *drillQueue) next() []byte {
	if len(q.bodies) == 0 {
		return nil
	}
	out := q.bodies[0]
	q.bodies = q.bodies[1:]
	return out
}

// forDrill returns a guard that runs the real path on the stage.
func (g *Guard) forDrill(s *stage, check string, q *drillQueue) *Guard {
	prefix := drillPrefix + s.id + "~"
	state, rec := drillState{g.State, prefix}, drillRecorder{g.Rec, prefix, s}
	return &Guard{
		Cloud: g.Cloud, Policy: g.Policy, Observe: g.Observe, CanWrite: g.CanWrite, State: state, Queue: q, Rec: rec,
		Alerts: drillDispatcher{g.Alerts, prefix}, Seal: g.Seal, Survey: func() Survey { return drillSurvey{g.Survey(), s} },
		Vault: s, Clusters: s, Repairs: s.repairs(), PublicURL: g.PublicURL, People: g.People, Now: g.Now, NewID: g.NewID, drill: drilling{prefix, check},
		Effects: &remedy.Runner{State: state, Rec: rec, Now: g.Now, NewID: g.NewID, Poll: time.Second},
	}
}

// notOurs refuses work on a drill's partition: only the drill itself does any.
func notOurs(m message) error {
	if !IsDrill(m.Partition) {
		return nil
	}
	raw, _ := json.Marshal(m)
	return fault.New(fault.Invalid, "guard.Work", "a message about a drill's partition: %s", clip(string(raw), 200))
}

package guard_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
	"cmkguard/internal/remedy/rewire"
	"cmkguard/internal/remedy/rotate"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// errKilled is what a killed process panics with.
type errKilled struct{}

// how says what became of the call at which the process was killed.
type how string

const (
	lost   how = "without effect"
	landed how = "took effect"
	late   how = "takes effect late"
)

// killer kills a process at its n-th call of a port, and lets nothing of it
// through afterwards: what deferred functions try then has no effect either.
type killer struct {
	mu    sync.Mutex
	calls []string // what was called, so that the points can be told apart
	at    int      // the call to die at, from 1; 0: live
	how   how
	dead  bool
	late  func(do func())
	ended int // calls until the story was told
}

// call runs do as one external call.
func (k *killer) call(name string, do func()) {
	k.mu.Lock()
	dead := k.dead
	if !dead {
		k.calls = append(k.calls, name)
	}
	now := !dead && len(k.calls) == k.at
	k.dead = dead || now
	k.mu.Unlock()
	if now {
		switch {
		case k.how == landed:
			do()
		case k.how == late && k.late != nil:
			k.late(do)
		}
	}
	if dead || now {
		panic(errKilled{})
	}
	do()
}

type killState struct {
	k *killer
	s store.State
}

func (s killState) Get(ctx context.Context, p, key string) (row store.Row, ok bool, err error) {
	s.k.call("state.Get", func() { row, ok, err = s.s.Get(ctx, p, key) })
	return row, ok, err
}

func (s killState) Scan(ctx context.Context, p, from, to string, n int) (rows []store.Row, err error) {
	s.k.call("state.Scan", func() { rows, err = s.s.Scan(ctx, p, from, to, n) })
	return rows, err
}

func (s killState) Apply(ctx context.Context, p string, ops []store.Op) (etags []string, err error) {
	s.k.call("state.Apply", func() { etags, err = s.s.Apply(ctx, p, ops) })
	return etags, err
}

type killQueue struct {
	k *killer
	q store.Queue
}

func (q killQueue) Put(ctx context.Context, name string, body []byte, d time.Duration) (err error) {
	q.k.call("queue.Put", func() { err = q.q.Put(ctx, name, body, d) })
	return err
}

func (q killQueue) Take(ctx context.Context, name string, n int, d time.Duration) (ms []store.Message, err error) {
	q.k.call("queue.Take", func() { ms, err = q.q.Take(ctx, name, n, d) })
	return ms, err
}

func (q killQueue) Done(ctx context.Context, name string, m store.Message) (err error) {
	q.k.call("queue.Done", func() { err = q.q.Done(ctx, name, m) })
	return err
}

type killLog struct {
	k *killer
	l store.Log
}

func (l killLog) Append(ctx context.Context, name string, at int64, b []byte) (err error) {
	l.k.call("log.Append", func() { err = l.l.Append(ctx, name, at, b) })
	return err
}

func (l killLog) Read(ctx context.Context, name string, from int64, n int) (b []byte, err error) {
	l.k.call("log.Read", func() { b, err = l.l.Read(ctx, name, from, n) })
	return b, err
}

func (l killLog) Size(ctx context.Context, name string) (n int64, blocks int, err error) {
	l.k.call("log.Size", func() { n, blocks, err = l.l.Size(ctx, name) })
	return n, blocks, err
}

type killVault struct {
	k *killer
	rotate.Vault
}

func (v killVault) Versions(ctx context.Context, key azureid.Key) (f wiring.Fact[[]wiring.KeyVersion]) {
	v.k.call("vault.Versions", func() { f = v.Vault.Versions(ctx, key) })
	return f
}

func (v killVault) Rotate(ctx context.Context, key azureid.Key, id string) (made azureid.Key, err error) {
	v.k.call("vault.Rotate", func() { made, err = v.Vault.Rotate(ctx, key, id) })
	return made, err
}

type killClusters struct {
	k *killer
	rewire.Clusters
}

func (c killClusters) Get(ctx context.Context, id azureid.Resource) (f wiring.Fact[wiring.Cluster]) {
	c.k.call("cluster.Get", func() { f = c.Clusters.Get(ctx, id) })
	return f
}

func (c killClusters) Rewire(ctx context.Context, cl wiring.Cluster, to azureid.Key, id string) (token string, err error) {
	c.k.call("cluster.Rewire", func() { token, err = c.Clusters.Rewire(ctx, cl, to, id) })
	return token, err
}

func (c killClusters) Poll(ctx context.Context, token string) (done bool, err error) {
	c.k.call("cluster.Poll", func() { done, err = c.Clusters.Poll(ctx, token) })
	return done, err
}

type killChannel struct {
	k *killer
	c alert.Channel
}

func (c killChannel) Send(ctx context.Context, a alert.Alert) (id string, err error) {
	c.k.call("channel.Send", func() { id, err = c.c.Send(ctx, a) })
	return id, err
}

// effects are the calls that change something outside of our state.
func isEffect(call string) bool {
	return call == "vault.Rotate" || call == "cluster.Rewire" || call == "repair.Act"
}

func isWrite(call string) bool {
	switch call {
	case "state.Apply", "queue.Put", "queue.Take", "queue.Done", "log.Append", "channel.Send":
		return true
	}
	return isEffect(call)
}

// process boots a guard whose every call goes through k.
func (w *world) process(k *killer) *guard.Guard {
	k.late = func(do func()) {
		// The request is on its way and lands when the world's clock says so.
		w.sim.Inject(azuresim.Fault{Method: http.MethodPost, Path: "/keys/*/rotate", Times: 1, Mode: azuresim.Late, Status: 504, Code: "Timeout", Delay: 4 * time.Minute})
		w.sim.Inject(azuresim.Fault{Method: http.MethodPatch, Times: 1, Mode: azuresim.Late, Status: 504, Code: "Timeout", Delay: 100 * time.Second})
		w.sim.Inject(azuresim.Fault{Method: http.MethodPost, Path: "/deletedkeys/*/recover", Times: 1, Mode: azuresim.Late, Status: 504, Code: "Timeout", Delay: 100 * time.Second})
		w.sim.Inject(azuresim.Fault{Method: http.MethodPut, Times: 1, Mode: azuresim.Late, Status: 504, Code: "Timeout", Delay: 100 * time.Second})
		do()
		w.sim.ClearFaults()
	}
	return w.boot(parts{
		backend:  store.Backend{State: killState{k, w.b.State}, Queue: killQueue{k, w.b.Queue}, Log: killLog{k, w.b.Log}},
		vault:    func(v rotate.Vault) rotate.Vault { return killVault{k, v} },
		clusters: func(c rewire.Clusters) rewire.Clusters { return killClusters{k, c} },
		channel:  killChannel{k, w.told},
		repairs:  func(m map[string]guard.RepairMaker) map[string]guard.RepairMaker { return killRepairs(k, m) },
	})
}

// worker is one process and what became of it.
type worker struct {
	g      *guard.Guard
	b      store.Backend
	killed bool
}

// live runs do in the process and notes if that killed it.
func (p *worker) live(do func()) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(errKilled); !ok {
				panic(r)
			}
			p.killed = true
		}
	}()
	do()
}

// story delivers an event until it is answered and works until the world has
// been quiet for hours. A killed worker is replaced by as many as heirs says.
func (w *world) story(k *killer, heirs int) {
	w.t.Helper()
	first := &worker{g: w.process(k), b: store.Backend{Queue: killQueue{k, w.b.Queue}}}
	workers := []*worker{first}
	replace := func() {
		if first == nil || !first.killed {
			return
		}
		first, workers = nil, nil
		for range heirs {
			workers = append(workers, &worker{g: w.process(&killer{}), b: w.b})
		}
	}
	w.sim.Clock().Advance(10 * time.Minute) // a Resource Graph that lags has seen the world
	body := w.sim.NearExpiry(w.key, "e1")
	for answered := false; !answered; replace() {
		p := workers[0]
		p.live(func() { answered = p.g.Take(ctx, "keyvaultevents", body) == nil })
	}
	const afterwards = 15 // minutes in which a late request could still spoil it
	for minute, quiet := 0, 0; minute < 6*60 && quiet < afterwards; minute++ {
		if quiet > 0 || w.ended() {
			quiet++
		} else {
			k.ended = len(k.calls)
		}
		p := workers[minute%len(workers)]
		p.live(func() { w.turn(p) })
		replace()
		if minute%2 == 1 {
			p := workers[len(workers)-1]
			p.live(func() { must(w.t, p.g.Sweep(ctx)) })
			replace()
		}
		w.sim.Clock().Advance(time.Minute)
	}
}

// turn is one look of a pump into its queue.
func (w *world) turn(p *worker) {
	for {
		ms, err := p.b.Queue.Take(ctx, guard.WorkQueue, 4, time.Minute)
		must(w.t, err)
		if len(ms) == 0 {
			return
		}
		for _, m := range ms {
			must(w.t, p.g.Work(ctx, m.Body))
			_ = p.b.Queue.Done(ctx, guard.WorkQueue, m) // another worker may have taken it meanwhile
		}
	}
}

// settled fails unless the story came to its one good end.
func (w *world) settled() error {
	patches := 0
	for _, c := range w.sim.Calls() {
		if c.Method == http.MethodPatch && c.Status < 300 {
			patches++
		}
	}
	switch report := w.verify(); {
	case len(w.sim.Versions(w.key)) != 2:
		return fmt.Errorf("%d versions, want 2", len(w.sim.Versions(w.key)))
	case !w.onNewest():
		return fmt.Errorf("the cluster is on %s", w.sim.Cluster(w.cluster).CMK.KeyURL)
	case patches > 1:
		return fmt.Errorf("%d PATCHes took effect", patches)
	case len(report.Problems) > 0 || report.Unsealed > 0:
		return fmt.Errorf("journal: %v, unsealed %d", report.Problems, report.Unsealed)
	case !w.told.has("", "Done: rotate") || !w.told.has("CMK-013", "Fixed"):
		return fmt.Errorf("people were not told of the end")
	}
	return w.tidy()
}

// ended says that people were told of the end: what comes then is idle.
func (w *world) ended() bool {
	return w.told.has("", "Done: rotate") && w.told.has("CMK-013", "Fixed") && w.tidy() == nil
}

// tidy fails if anything was left on the agenda, in a queue or unmarked.
func (w *world) tidy() error {
	for _, p := range []string{"agenda", "signals"} {
		rows, err := w.b.State.Scan(ctx, p, "", "", 10)
		if err != nil || len(rows) > 0 {
			return fmt.Errorf("%d rows are left in %s: %v", len(rows), p, err)
		}
	}
	subject := event.Subject{Kind: event.SubjectKey, ID: w.key.ID()}
	rows, err := w.b.State.Scan(ctx, incident.Partition(subject), "entry~", "entry~~", 10)
	if err != nil || len(rows) > 0 {
		return fmt.Errorf("%d entries are pending: %v", len(rows), err)
	}
	return nil
}

// TestKilledAtEveryCall kills a process at each call that the whole story
// makes through a port, the call having taken effect, not, or taking effect
// late; then one heir goes on, or two side by side. The points come from a run
// that nobody disturbed, so that a new call is a new point. CMKGUARD_CRASH=all
// tries every point, and some of them under each other answer of Azure.
func TestKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	all := os.Getenv("CMKGUARD_CRASH") == "all"
	for _, kind := range []string{"v1", "v2"} {
		o := setup{kind: kind, created: year, mode: policy.Auto}
		every := 8
		if all {
			every = 1
		}
		killEverywhere(t, kind, o, every)
		if !all {
			continue
		}
		for name, azure := range otherAnswers() {
			o.azure = azure
			killEverywhere(t, kind+", "+name, o, 24)
		}
	}
}

func killEverywhere(t *testing.T, name string, o setup, every int) {
	clean := newWorld(t, o)
	k := &killer{}
	clean.story(k, 1)
	if err := clean.settled(); err != nil {
		t.Fatalf("%s, undisturbed: %v", name, err)
	}
	points := crashPoints(k.calls[:k.ended])
	tried := some(points, every)
	t.Logf("%s: %d calls, %d crash points, %d of them tried, each with one heir and with two", name, k.ended, len(points), len(tried))
	for _, heirs := range []int{1, 2} {
		t.Run(fmt.Sprintf("%s, %d heirs", name, heirs), func(t *testing.T) {
			t.Parallel()
			for _, pt := range tried {
				t.Run(fmt.Sprintf("killed at call %d, %s, %s", pt.at, pt.name, pt.how), func(t *testing.T) {
					w := newWorld(t, o)
					w.story(&killer{at: pt.at, how: pt.how}, heirs)
					if err := w.settled(); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

type crashPoint struct {
	at   int
	name string
	how  how
}

// crashPoints are the moments around every call that changes anything, here or
// out there. A process killed at a read leaves what one leaves that is killed
// before its next write.
func crashPoints(calls []string) []crashPoint {
	var out []crashPoint
	for i, name := range calls {
		if !isWrite(name) {
			continue
		}
		out = append(out, crashPoint{i + 1, name, lost}, crashPoint{i + 1, name, landed})
		if isEffect(name) {
			out = append(out, crashPoint{i + 1, name, late})
		}
	}
	return out
}

// some keeps every point of an effect and every n-th of the others; the full
// enumeration is asked for by CMKGUARD_CRASH=all (make crash).
func some(points []crashPoint, n int) []crashPoint {
	var out []crashPoint
	for i, p := range points {
		if i%n == 0 || isEffect(p.name) {
			out = append(out, p)
		}
	}
	return out
}

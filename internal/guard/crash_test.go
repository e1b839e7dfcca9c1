package guard_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
	"cmkguard/internal/remedy/rewire"
	"cmkguard/internal/remedy/rotate"
	"cmkguard/internal/store"
)

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
			if quiet++; quiet == 1 { // what the last minute did belongs to the story
				k.ended = len(k.calls)
			}
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
	for p, from := range map[string]string{"agenda": "", "signals": "signal~"} { // of those, the marks
		rows, err := w.b.State.Scan(ctx, p, from, "", 10)
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
// tries every point, an eighth of them where the cluster follows by itself, and some
// under each other answer of Azure; CMKGUARD_EVERY says another step.
func TestKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	all := os.Getenv("CMKGUARD_CRASH") == "all"
	// A v2 cluster follows by itself: most of its calls are looks whether it did.
	for kind, step := range map[string]int{"v1": sparse(t, 16, 1), "v2": sparse(t, 16, 8)} {
		o := setup{kind: kind, created: year, mode: policy.Auto}
		killEverywhere(t, kind, o, step)
		if !all {
			continue
		}
		for name, azure := range otherAnswers() {
			o.azure = azure
			killEverywhere(t, kind+", "+name, o, 60)
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
	killAt(t, name, tried, func(t *testing.T, k *killer, heirs int) error {
		w := newWorld(t, o)
		w.story(k, heirs)
		return w.settled()
	})
}

// killAt plays the story once for each of the points and number of heirs. Each has a
// test of its own, at the end of which its world's server closes.
func killAt(t *testing.T, name string, points []crashPoint, play func(t *testing.T, k *killer, heirs int) error) {
	for _, heirs := range []int{1, 2} {
		t.Run(fmt.Sprintf("%s, %d heirs", name, heirs), func(t *testing.T) {
			t.Parallel()
			for _, pt := range points {
				t.Run(fmt.Sprintf("killed at call %d, %s, %s", pt.at, pt.name, pt.how), func(t *testing.T) {
					if err := play(t, &killer{at: pt.at, how: pt.how}, heirs); err != nil {
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

// sparse is the step between the points that are tried: quick in make test, all in
// make crash, and what CMKGUARD_EVERY says there (1: each point).
func sparse(t *testing.T, quick, all int) int {
	t.Helper()
	if os.Getenv("CMKGUARD_CRASH") != "all" {
		return quick
	}
	n, err := strconv.Atoi(cmp.Or(os.Getenv("CMKGUARD_EVERY"), strconv.Itoa(all)))
	if err != nil || n < 1 {
		t.Fatalf("CMKGUARD_EVERY is %q: want a number above 0", os.Getenv("CMKGUARD_EVERY"))
	}
	return n
}

// some keeps every point of an effect and every n-th of the others.
func some(points []crashPoint, n int) []crashPoint {
	var out []crashPoint
	for i, p := range points {
		if i%n == 0 || isEffect(p.name) {
			out = append(out, p)
		}
	}
	return out
}

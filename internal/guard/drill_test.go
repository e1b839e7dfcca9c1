package guard_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/drill"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
)

// drilled is a healthy world whose policy lets everything act as far as it may.
func drilled(t *testing.T, kind string) *world {
	t.Helper()
	w := newWorld(t, setup{kind: kind, created: year, loosest: true})
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = nil })
	return w
}

// TestEveryDrillGetsThrough: each scenario goes the real path to its receipts, writes
// nothing to Azure, and leaves nothing that could be taken for real.
func TestEveryDrillGetsThrough(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"v1", "v2"} {
		for _, sc := range drill.Scenarios() {
			t.Run(kind+" "+sc.Name, func(t *testing.T) {
				t.Parallel()
				w := drilled(t, kind)
				r, err := w.g.Drill(ctx, sc.Name, azureid.Resource{})
				must(t, err)
				if !r.Passed || len(r.Receipts) == 0 {
					t.Fatalf("%+v", r)
				}
				if n := w.changes(); n != 0 {
					t.Fatalf("%d changes", n)
				}
				w.told.mu.Lock()
				for _, a := range w.told.all {
					if !a.Drill || a.Event != "" || !strings.HasPrefix(a.DedupKey, "drill~") || a.Vault != "" || len(a.Upstream) > 0 {
						t.Errorf("not marked: %+v", a)
					}
				}
				w.told.mu.Unlock()
				if sc.Check != "" && !w.told.has(sc.Check, "") {
					t.Errorf("%s was not told", sc.Check)
				}
				w.nothingReal()
				w.run(3) // nor does the real guard carry anything of it out
				if n := w.changes(); n != 0 {
					t.Fatalf("%d changes afterwards", n)
				}
				if rep := w.verify(); len(rep.Problems) > 0 || rep.Unsealed > 0 {
					t.Errorf("%+v", rep)
				}
			})
		}
	}
}

// nothingReal fails if the real partitions hold an incident, a plan or an action.
func (w *world) nothingReal() {
	w.t.Helper()
	if list, err := w.b.State.Scan(ctx, "plans", "", "", 10); err != nil || len(list) > 0 {
		w.t.Errorf("%d plans: %v", len(list), err)
	}
	if list, err := w.b.State.Scan(ctx, "actions", "action~", "action~~", 10); err != nil || len(list) > 0 {
		w.t.Errorf("%d actions: %v", len(list), err)
	}
	for _, partition := range w.partitions() {
		rows, err := w.b.State.Scan(ctx, partition, "incident~", "incident~~", 10)
		must(w.t, err)
		if len(rows) > 0 && !guard.IsDrill(partition) {
			w.t.Errorf("an incident in %s: %s", partition, rows[0].Value)
		}
	}
}

// partitions are those of the sample's chain, and of ourselves.
func (w *world) partitions() []string {
	return []string{"self", keyPart(w.key), clusterPart(w.cluster)}
}

// A rotation that the policy lets run is simulated to its end.
func TestADrillSimulatesTheLastStep(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"v1", "v2"} {
		w := drilled(t, kind)
		r, err := w.g.Drill(ctx, drill.NearExpiry, w.cluster)
		must(t, err)
		if !w.told.has("", "Done: rotate") || !strings.Contains(stageOf(r, "plan and gates"), "carried out in simulation: done") {
			t.Errorf("%s: %s", kind, stageOf(r, "plan and gates"))
		}
	}
	w := drilled(t, "v1")
	r, err := w.g.Drill(ctx, drill.KeyDeleted, w.cluster)
	must(t, err)
	if s := stageOf(r, "plan and gates"); !strings.Contains(s, "recover-key: hold") || !strings.Contains(s, plan.Waits) {
		t.Errorf("%s", s)
	}
}

func stageOf(r guard.DrillResult, name string) string {
	for _, s := range r.Stages {
		if s.Name == name {
			return s.Text
		}
	}
	return ""
}

// A drill about a cluster that has the very problem hides and delays nothing.
func TestADrillHidesNoRealAlert(t *testing.T) {
	t.Parallel()
	w := drilled(t, "v1")
	if _, err := w.g.Drill(ctx, drill.AccessLost, w.cluster); err != nil {
		t.Fatal(err)
	}
	w.sim.Unassign(who)
	w.hint()
	w.run(1)
	_, err := w.g.Drill(ctx, drill.AccessLost, w.cluster)
	must(t, err)
	opened := 0
	for _, a := range w.told.all {
		if a.Check != "CMK-050" || a.Drill {
			continue
		}
		if a.Lifecycle == alert.Resolve {
			t.Error("a drill's end resolved the real one")
		}
		if a.Lifecycle == alert.Trigger {
			opened++
		}
	}
	if opened != 1 || len(w.plans(plan.RestoreGrant)) != 1 {
		t.Fatalf("the real alert was told %d times", opened)
	}
}

// mutedChannel refuses every message.
type mutedChannel struct{}

func (mutedChannel) Send(context.Context, alert.Alert) (string, error) {
	return "", fault.New(fault.Transient, "deaf", "503")
}

// A path that is broken fails the drill where it is broken, and that is told for real.
func TestADrillThatDoesNotGetThrough(t *testing.T) {
	t.Parallel()
	w := drilled(t, "v1")
	w.sim.Inject(azuresim.Fault{Method: http.MethodGet, Host: host, Times: 1000, Mode: azuresim.Refuse, Status: 403, Code: "Forbidden"})
	r, err := w.g.Drill(ctx, drill.NearExpiry, w.cluster)
	must(t, err)
	w.run(1)
	if r.Passed || !strings.Contains(stageOf(r, "look"), "versions unreadable") || !w.told.has("", "An exercise did not get through") {
		t.Errorf("%+v", r)
	}
	mute := drilled(t, "v1")
	mute.g = mute.boot(parts{backend: mute.b, channel: mutedChannel{}})
	r, err = mute.g.Drill(ctx, drill.ChannelTest, azureid.Resource{})
	must(t, err)
	if r.Passed || !strings.Contains(stageOf(r, "alert"), "503") {
		t.Errorf("%+v", r)
	}
	if _, err := mute.g.Drill(ctx, "odd", azureid.Resource{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

// Scheduled exercises run by the sweep; one that none got through of for too long pages,
// and ends when one does.
func TestScheduledDrillsAndMissedOnes(t *testing.T) {
	t.Parallel()
	w := drilled(t, "v1")
	w.g.Policy.Drills = policy.Drills{Every: 10 * 24 * time.Hour, Scenarios: []string{drill.ChannelTest, drill.NearExpiry}}
	days := func(n int) {
		for range n * 4 {
			must(t, w.g.Sweep(ctx))
			w.turn(&worker{g: w.g, b: w.b})
			w.sim.Clock().Advance(6 * time.Hour)
		}
	}
	runs := func() (n int) {
		for _, a := range w.told.all {
			if a.Drill && strings.Contains(a.Title, "this channel is heard") {
				n++
			}
		}
		return n
	}
	days(25)
	if n := runs(); n != 3 || w.told.lives("SELF-031") != "" {
		t.Fatalf("%d runs in 25 days, %q", n, w.told.lives("SELF-031"))
	}
	w.sim.Inject(azuresim.Fault{Method: http.MethodGet, Host: host, Times: 100000, Mode: azuresim.Refuse, Status: 403, Code: "Forbidden"})
	days(16)
	if got := w.told.lives("SELF-031"); got != "trigger high" || !w.told.has("SELF-031", drill.NearExpiry) || w.told.has("SELF-031", drill.ChannelTest) {
		t.Fatalf("%q", got)
	}
	w.sim.ClearFaults()
	days(2)
	if got := w.told.lives("SELF-031"); got != "trigger high, resolve high" {
		t.Fatalf("%q", got)
	}
}

// What a drill that was cut off left is never carried out by the real guard.
func TestADrillsLeftoversAreNotWorkedOn(t *testing.T) {
	t.Parallel()
	w := drilled(t, "v1")
	saga := map[string]any{"schema": 1, "phase": "rotate", "seq": 0, "plan": map[string]any{"id": "rotate~1", "remedy": "rotate"}}
	w.put("drill~x~"+keyPart(w.key), "saga~rotate~1", saga)
	raw, err := json.Marshal(map[string]any{"kind": "saga", "partition": "drill~x~" + keyPart(w.key), "id": "rotate~1"})
	must(t, err)
	must(t, w.g.Work(ctx, raw))
	must(t, w.g.Sweep(ctx))
	if w.changes() != 0 || !w.told.has("", "drill's partition") {
		t.Fatalf("%d changes", w.changes())
	}
}

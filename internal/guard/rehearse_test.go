package guard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/guard"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// signals are what an event is to the guard.
func (w *world) signals(body json.RawMessage) []event.Signal {
	w.t.Helper()
	p, err := event.ParseGrid(body, w.g.Cloud)
	must(w.t, err)
	return p.Signals
}

func (w *world) rehearse(body json.RawMessage) (out []guard.Act) {
	w.t.Helper()
	r := w.g.Rehearse()
	for _, s := range w.signals(body) {
		acts, err := r.Signal(ctx, s)
		must(w.t, err)
		out = append(out, acts...)
	}
	return out
}

// foreseen is what would be begun and told, or was.
type foreseen struct{ Begun, Told []string }

func expected(acts []guard.Act) (o foreseen) {
	for _, a := range acts {
		for _, p := range a.Plans {
			if p.Begins {
				o.Begun = append(o.Begun, p.Plan.ID)
			}
		}
		for _, t := range a.Told {
			if t.Heard() {
				o.Told = append(o.Told, fmt.Sprint(t.Alert.Severity, t.Alert.Lifecycle, t.Alert.Title, t.Alert.What))
			}
		}
	}
	slices.Sort(o.Begun)
	slices.Sort(o.Told)
	return o
}

// lives lets the event take its way, and returns what the work on the signal itself
// began and told.
func (w *world) lives(body json.RawMessage) (o foreseen) {
	w.t.Helper()
	w.told.all = nil
	w.take(body)
	for done := false; !done; {
		ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Hour)
		must(w.t, err)
		done = true
		for _, m := range ms {
			var is struct{ Kind, ID string }
			must(w.t, json.Unmarshal(m.Body, &is))
			switch is.Kind {
			case "saga":
				o.Begun = append(o.Begun, is.ID)
			case "signal":
				done = false
				must(w.t, w.g.Work(ctx, m.Body))
			}
		}
	}
	must(w.t, w.g.Tend(ctx))
	for _, a := range w.told.all {
		o.Told = append(o.Told, fmt.Sprint(a.Severity, a.Lifecycle, a.Title, a.What))
	}
	slices.Sort(o.Begun)
	slices.Sort(o.Told)
	return o
}

// crowd adds so many clusters to the vault, each with a key of its own.
func (w *world) crowd(n int) {
	for i := range n {
		expires := w.sim.Clock().Now().Add(20 * 24 * time.Hour)
		key := w.sim.AddKey(host, fmt.Sprint("kek-", i), azuresim.KeyOptions{Created: w.sim.Clock().Now().Add(-year), Expires: &expires})
		identity := azureid.MustResource(root + "Microsoft.ManagedIdentity/userAssignedIdentities/id-a")
		w.sim.AddCluster(azuresim.Cluster{
			ID: azureid.MustResource(root + fmt.Sprint("Microsoft.Cache/redisEnterprise/crowd-", i)), Kind: "v1", SKU: "Enterprise_E10", Location: "West Europe",
			Identities: []azureid.Resource{identity}, CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: identity, KeyURL: key.String()},
		})
	}
}

// watching fails on a write while it is armed.
type watching struct {
	store.State
	t     *testing.T
	armed bool
}

func (s *watching) Apply(c context.Context, partition string, ops []store.Op) ([]string, error) {
	if s.armed {
		s.t.Errorf("a rehearsal wrote %s/%s", partition, ops[0].Key)
	}
	return s.State.Apply(c, partition, ops)
}

// TestARehearsalSaysWhatThenHappens: over worlds with a problem each, what it says is
// what the same event then leads to; and saying it changed nothing anywhere.
func TestARehearsalSaysWhatThenHappens(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		setup setup
		world func(w *world) json.RawMessage
		begun int
	}{
		"a rotation that may run":    {setup{kind: "v1", created: year, mode: policy.Auto}, nearExpiry, 1},
		"a rotation of v2":           {setup{kind: "v2", created: year, mode: policy.Auto}, nearExpiry, 1},
		"one that is held":           {setup{kind: "v2", created: year, mode: policy.DryRun}, nearExpiry, 0},
		"one that waits for people":  {setup{kind: "v1", created: year, mode: policy.Approve}, nearExpiry, 0},
		"observing only":             {setup{kind: "v1", created: year, mode: policy.Auto, observe: "policy.yaml:3"}, nearExpiry, 0},
		"a lost grant":               {setup{kind: "v1", created: year, loosest: true}, func(w *world) json.RawMessage { w.sim.Unassign(who); return w.sim.AccessPolicyChanged(host, "e1") }, 0},
		"a deleted key":              {setup{kind: "v1", created: year, loosest: true}, func(w *world) json.RawMessage { w.sim.DeleteKey(w.key); return w.sim.AccessPolicyChanged(host, "e1") }, 0},
		"a vault that fell silent":   {setup{kind: "v1", created: year, mode: policy.Auto}, func(w *world) json.RawMessage { w.sim.Inject(vaultGone()); return nearExpiry(w) }, 0},
		"somebody else's new vault":  {setup{kind: "v1", created: year, mode: policy.Auto}, func(w *world) json.RawMessage { return bytes.ReplaceAll(nearExpiry(w), []byte("kv-a"), []byte("kv-x")) }, 0},
		"a second look, nothing new": {setup{kind: "v1", created: year, mode: policy.DryRun}, func(w *world) json.RawMessage { w.take(w.sim.NearExpiry(w.key, "e0")); w.run(1); return nearExpiry(w) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.setup)
			body := c.world(w)
			s := &watching{State: w.b.State, t: t, armed: true}
			w.g.State = s
			calls := len(w.sim.Calls())
			acts := w.rehearse(body)
			again := w.rehearse(body)
			if diff := cmp.Diff(seen(acts), seen(again)); diff != "" {
				t.Error("the second time it says something else:", diff)
			}
			for _, call := range w.sim.Calls()[calls:] {
				if call.Method != http.MethodGet && !strings.HasSuffix(call.Path, "/resources") {
					t.Errorf("a rehearsal called %s %s", call.Method, call.Path)
				}
			}
			if ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Second); err != nil || len(ms) > 0 {
				t.Errorf("%d messages were queued, %v", len(ms), err)
			}
			s.armed = false
			said := expected(acts)
			is := w.lives(body)
			if diff := cmp.Diff(said, is); diff != "" {
				t.Errorf("said (-), then happened (+):\n%s", diff)
			}
			if len(is.Begun) != c.begun {
				t.Errorf("%d plans begun, want %d: the case does not test what it says", len(is.Begun), c.begun)
			}
		})
	}
}

func nearExpiry(w *world) json.RawMessage { return w.sim.NearExpiry(w.key, "e1") }

func vaultGone() azuresim.Fault {
	return azuresim.Fault{Method: http.MethodGet, Path: "/keys/kek/versions", Times: 1000, Mode: azuresim.Refuse, Status: 503, Code: "Unavailable"}
}

// seen is what an act says, without times.
func seen(acts []guard.Act) (out []string) {
	for _, a := range acts {
		text := fmt.Sprint(a.Signal.Kind, a.Clusters, a.Unseen, a.Acts(), a.Follows)
		for _, v := range a.Verdicts {
			text += fmt.Sprint(v.Check, v.Answer, v.Why)
		}
		for _, p := range a.Plans {
			text += fmt.Sprint(p.Plan.Remedy, p.Plan.Steps, p.Begins, p.Doing, p.Rulings)
		}
		out = append(out, text)
	}
	return append(out, fmt.Sprint(expected(acts)))
}

// What one signal of a rehearsal would leave behind, the next one finds.
func TestARehearsalRemembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	r := w.g.Rehearse()
	var all [][]guard.Act
	for _, id := range []string{"e1", "e1", "e2"} {
		acts, err := r.Signal(ctx, w.signals(w.sim.NearExpiry(w.key, id))[0])
		must(t, err)
		all = append(all, acts)
	}
	first, same, second := all[0][0], all[1][0], all[2][0]
	if !first.Acts() || !first.Plans[0].Begins || first.Before != "" || len(first.Told) == 0 {
		t.Errorf("the first: %+v", first)
	}
	if same.Acts() || same.Before != "above" {
		t.Errorf("the same again: %+v", same)
	}
	if len(second.Plans) != 1 || second.Plans[0].Begins || second.Plans[0].Doing != "begun by a signal above" || len(second.Told) >= len(first.Told) {
		t.Errorf("another one: %+v", second)
	}
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.run(4)
	if a := w.rehearse(w.sim.NearExpiry(w.key, "e1")); a[0].Before != "done" || a[0].Acts() {
		t.Errorf("after it was worked on: %+v", a[0])
	}
}

// Messages of the work queue, each kind.
func TestWorkIsRehearsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	w.take(w.sim.NearExpiry(w.key, "e1"))
	message := func(kind string) []byte {
		ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Second)
		must(t, err)
		for _, m := range ms {
			if strings.Contains(string(m.Body), `"kind":"`+kind+`"`) {
				return m.Body
			}
		}
		t.Fatalf("no %s among %d messages", kind, len(ms))
		return nil
	}
	ask := func(raw []byte) guard.Act {
		acts, err := w.g.Rehearse().Message(ctx, raw)
		must(t, err)
		return acts[0]
	}
	signal := message("signal")
	if a := ask(signal); !a.Acts() || len(a.Plans) != 1 || !a.Plans[0].Begins || a.Before != "queued" {
		t.Fatalf("%+v", a)
	}
	must(t, w.g.Work(ctx, signal))
	w.sim.Clock().Advance(2 * time.Second)
	step := message("saga")
	if a := ask(step); !a.Acts() || !strings.Contains(a.Note, "the next step of rotate") {
		t.Fatalf("%+v", a)
	}
	if w.writes() != 0 {
		t.Fatal("a step was taken")
	}
	must(t, w.g.Work(ctx, step))
	if a := ask(step); a.Acts() || !strings.Contains(a.Note, "was taken before") {
		t.Fatalf("%+v", a)
	}
	for raw, want := range map[string]string{
		`{"kind":"signal","partition":"signal~0"}`:                "is not stored",
		`{"kind":"saga","partition":"p","id":"rotate~0","seq":1}`: "is not being carried out",
		`{"kind":"tend","partition":"p"}`:                         "0 deliveries",
	} {
		if a := ask([]byte(raw)); a.Acts() || !strings.Contains(a.Note, want) {
			t.Errorf("%s: %+v", raw, a)
		}
	}
	if a := ask([]byte(`{"kind":"look","key":"` + w.key.String() + `"}`)); a.Signal.Kind == "" || len(a.Clusters) != 1 {
		t.Errorf("%+v", a)
	}
	for _, raw := range []string{`{"kind":"look"}`, `{"kind":"dance"}`, `{`} {
		if _, err := w.g.Rehearse().Message(ctx, []byte(raw)); err == nil {
			t.Errorf("%s was taken", raw)
		}
	}
}

// A signal that touches more than one look takes is followed by its parts.
func TestARehearsalFollowsTheParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	w.crowd(25)
	acts := w.rehearse(w.sim.AccessPolicyChanged(host, "e1"))
	if len(acts) < 20 || len(acts[0].Clusters) != 0 || len(acts[1].Clusters) == 0 {
		t.Fatalf("%d acts: %+v", len(acts), acts[0])
	}
}

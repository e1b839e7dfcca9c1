package guard_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// abandoned is a world whose cluster has lost its key: CMK-050 of the cluster and
// CMK-013 of the key are open, and the roster knows them.
func abandoned(t *testing.T, o azuresim.Options) (w *world, events func() int) {
	t.Helper()
	var sent []json.RawMessage
	o.OnEvent = func(raw []byte) { sent = append(sent, raw) }
	w = newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.DryRun, azure: o})
	w.g.Reconcile = time.Hour
	w.sim.Clock().Advance(time.Hour)
	w.sim.Unassign(who)
	w.sweepAndWork()
	w.want("the cluster lost its key", "CMK-050", 1, 0)
	w.want("the key is about to expire", "CMK-013", 1, 0)
	sent = nil
	return w, func() int {
		for _, raw := range sent {
			must(t, w.g.Take(ctx, "resourceevents", raw))
		}
		n := len(sent)
		sent = nil
		w.work()
		must(t, w.g.Tend(ctx))
		return n
	}
}

// sweepAndWork lets the sweep's next reconcile pass, with all that follows.
func (w *world) sweepAndWork() {
	w.t.Helper()
	w.sim.Clock().Advance(61 * time.Minute)
	must(w.t, w.g.Sweep(ctx))
	for range 10 { // looks lead to looks
		w.work()
		w.sim.Clock().Advance(10 * time.Second)
	}
	must(w.t, w.g.Tend(ctx))
}

// over fails unless the checks were told to be over so often.
func (w *world) over(when string, want int, checks ...string) {
	w.t.Helper()
	for _, c := range checks {
		if n := w.told.times(c, "Over"); n != want {
			w.t.Fatalf("%s: %s told over %d times, want %d", when, c, n, want)
		}
	}
}

func (w *world) incident(kind event.SubjectKind, id, check string) incident.Incident {
	w.t.Helper()
	row, ok, err := w.b.State.Get(ctx, incident.Partition(event.Subject{Kind: kind, ID: id}), incident.RowKey(check))
	must(w.t, err)
	if !ok {
		w.t.Fatalf("no incident %s of %s", check, id)
	}
	var i incident.Incident
	must(w.t, json.Unmarshal(row.Value, &i))
	return i
}

func TestADeletedClustersIncidentsEnd(t *testing.T) {
	t.Parallel()
	for name, lag := range map[string]time.Duration{"Resource Graph is prompt": 0, "Resource Graph is behind": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, events := abandoned(t, azuresim.Options{GraphLag: lag})
			w.sim.RemoveCluster(w.cluster)
			if events() == 0 {
				t.Fatal("no event of the deletion")
			}
			if lag > 0 {
				w.over("while a list still shows it", 0, "CMK-050", "CMK-013")
			}
			for range 20 { // minutes
				w.sim.Clock().Advance(time.Minute)
				w.work()
			}
			must(t, w.g.Tend(ctx))
			w.over("deleted", 1, "CMK-050", "CMK-013")
			if !w.told.has("CMK-050", "the cluster is gone") || !w.told.has("CMK-013", "no cluster uses the key any more") {
				t.Fatal("the reason is not told")
			}
			if i := w.incident(event.SubjectCluster, w.cluster.Key(), "CMK-050"); i.State != incident.Resolved || i.Verdict.Answer == "ok" || len(i.Verdict.Evidence) != 2 {
				t.Fatalf("%+v", i)
			}
			if !w.journalHas("CMK-050 ended: the cluster is gone") {
				t.Fatal("the end is not in the journal")
			}
			w.sweepAndWork()
			w.over("an hour later", 1, "CMK-050", "CMK-013")
			if rows, err := w.b.State.Scan(ctx, "clusters", "", "", 10); err != nil || len(rows) != 0 {
				t.Fatalf("%d rows on the roster, %v", len(rows), err)
			}
		})
	}
}

func TestADeletionWhoseEventWasLostIsFoundByTheSweep(t *testing.T) {
	t.Parallel()
	w, _ := abandoned(t, azuresim.Options{})
	w.sim.RemoveCluster(w.cluster)
	w.sweepAndWork()
	w.over("by the sweep alone", 1, "CMK-050", "CMK-013")
}

// What cannot be read, or not be listed whole, is not gone, and neither is what a
// list hides.
func TestWhatCannotBeSeenIsNotGone(t *testing.T) {
	t.Parallel()
	refuse := func(w *world, path string) {
		w.sim.Inject(azuresim.Fault{Method: http.MethodGet, Path: path, Times: 1000, Mode: azuresim.Refuse, Status: 403, Code: "AuthorizationFailed"})
	}
	for name, blind := range map[string]func(*world){
		"the cluster refuses": func(w *world) { refuse(w, w.cluster.String()) },
		"it refuses, and no list shows it": func(w *world) {
			refuse(w, w.cluster.String())
			w.sim.HideFromGraph(w.cluster)
		},
		"only the list lacks it": func(w *world) { w.sim.HideFromGraph(w.cluster) },
		"deleted, and our rights are not known": func(w *world) {
			w.sim.RemoveCluster(w.cluster)
			refuse(w, "/subscriptions/"+sub+"/providers/Microsoft.Authorization/permissions")
		},
		"deleted, and nothing can be listed": func(w *world) {
			w.sim.RemoveCluster(w.cluster)
			w.sim.Inject(azuresim.Fault{Path: "/providers/Microsoft.ResourceGraph/resources", Times: 1000, Mode: azuresim.Refuse, Status: 403, Code: "AuthorizationFailed"})
		},
		"its vault is gone as well, and it refuses": func(w *world) {
			w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Deleted = true })
			refuse(w, w.cluster.String())
		},
		"its key is deleted": func(w *world) { w.sim.DeleteKey(w.key) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, events := abandoned(t, azuresim.Options{})
			blind(w)
			w.sim.Clock().Advance(time.Minute)
			_ = w.g.Sweep(ctx) // may say that nothing could be listed
			events()
			w.sim.Clock().Advance(61 * time.Minute)
			_ = w.g.Sweep(ctx)
			w.take(w.sim.NearExpiry(w.key, "e1")) // the key itself is asked about too
			for range 60 {                        // minutes, with all their tries
				w.work()
				w.sim.Clock().Advance(time.Minute)
			}
			must(t, w.g.Tend(ctx))
			w.over("not seen", 0, "CMK-050", "CMK-013")
			if strings.HasPrefix(name, "deleted") {
				w.sim.ClearFaults()
				w.sweepAndWork()
				w.sweepAndWork()
				w.over("seen again", 1, "CMK-050", "CMK-013")
			}
		})
	}
}

// A cluster that was deleted and made anew is judged, and so is its key, even
// while no list shows it yet.
func TestAClusterThatWasMadeAnewIsJudged(t *testing.T) {
	t.Parallel()
	w, events := abandoned(t, azuresim.Options{GraphLag: 30 * time.Minute})
	made := w.sim.Cluster(w.cluster)
	w.sim.RemoveCluster(w.cluster)
	w.g.Survey().Keyed(ctx) // Resource Graph takes its picture
	w.sim.Clock().Advance(20 * time.Minute)
	w.sim.AddCluster(made)
	w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
	w.g.Survey().Keyed(ctx)
	w.sim.Clock().Advance(15 * time.Minute)
	if list, complete, _ := w.g.Survey().Keyed(ctx); !complete || len(list) > 0 {
		t.Fatalf("the list is to be that of when it was not there: %v", list)
	}
	events()
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.work()
	must(t, w.g.Tend(ctx))
	w.over("made anew", 0, "CMK-050", "CMK-013")
	w.sim.Clock().Advance(30 * time.Minute)
	w.sweepAndWork()
	w.over("judged by the new one", 0, "CMK-050", "CMK-013")
	w.want("judged by the new one", "CMK-050", 1, 1)
	if i := w.incident(event.SubjectKey, w.key.ID(), "CMK-013"); i.State != incident.Open {
		t.Fatalf("the key's own incident: %+v", i)
	}
}

// A key that its only cluster has left is nobody's any more.
func TestAKeyThatItsClusterHasLeft(t *testing.T) {
	t.Parallel()
	w, events := abandoned(t, azuresim.Options{})
	expires := w.sim.Clock().Now().Add(year)
	other := w.sim.AddKey(host, "other", azuresim.KeyOptions{Expires: &expires, Policy: azuresim.Rotation{ExpiryTime: "P365D"}})
	w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) {
		cmk := *c.CMK
		cmk.KeyURL = other.String()
		c.CMK = &cmk
	})
	events()
	w.sweepAndWork()
	w.over("pointed elsewhere", 1, "CMK-013")
	w.over("the cluster is there", 0, "CMK-050")
	if i := w.incident(event.SubjectCluster, w.cluster.Key(), "CMK-050"); i.State != incident.Open {
		t.Fatalf("%+v", i)
	}
	var m struct{ Key azureid.Key }
	rows, err := w.b.State.Scan(ctx, "clusters", "", "", 10)
	must(t, err)
	if len(rows) != 1 || json.Unmarshal(rows[0].Value, &m) != nil || !m.Key.SameKey(other) {
		t.Fatalf("roster: %s", rows)
	}
}

// Of a cluster that the roster does not know (it was seen before there was one) an
// incomplete list proves nothing either; and what people were never told of ends
// without a word.
func TestWhatTheRosterDoesNotKnow(t *testing.T) {
	t.Parallel()
	w, _ := abandoned(t, azuresim.Options{})
	row, _, err := w.b.State.Get(ctx, "clusters", store.Name("cluster", w.cluster.Key()))
	must(t, err)
	_, err = w.b.State.Apply(ctx, "clusters", []store.Op{{Kind: store.Delete, Key: row.Key, ETag: row.ETag}})
	must(t, err)
	w.sim.Inject(azuresim.Fault{Method: http.MethodGet, Path: w.cluster.String(), Times: 1000, Mode: azuresim.Refuse, Status: 403, Code: "AuthorizationFailed"})
	w.take(w.sim.NearExpiry(w.key, "e1"))
	for range 60 {
		w.work()
		w.sim.Clock().Advance(time.Minute)
	}
	w.over("not on the roster", 0, "CMK-050", "CMK-013")
}

func TestWhatNobodyWasToldOfEndsWithoutAWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.DryRun})
	w.g.Reconcile = time.Hour
	w.sim.Inject(azuresim.Fault{Method: http.MethodGet, Path: "/keys/kek/versions", Times: 1000, Mode: azuresim.Refuse, Status: 403, Code: "Forbidden"})
	w.sweepAndWork()
	if i := w.incident(event.SubjectKey, w.key.ID(), "CMK-013"); i.State != incident.Uncertain {
		t.Fatalf("%+v", i)
	}
	w.sim.RemoveCluster(w.cluster)
	w.sweepAndWork()
	if i := w.incident(event.SubjectKey, w.key.ID(), "CMK-013"); i.State != incident.Resolved {
		t.Fatalf("%+v", i)
	}
	w.over("never told", 0, "CMK-013")
}

package guard_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/guard"
	"cmkguard/internal/store"
)

// hours lets reconciles pass, with all that follows.
func (w *world) hours(n int) {
	w.t.Helper()
	for range n {
		w.sim.Clock().Advance(61 * time.Minute)
		_ = w.g.Sweep(ctx) // says, too, that nothing could be listed
		for range 40 {     // tries of reads that fail
			w.work()
			w.sim.Clock().Advance(time.Minute)
		}
		must(w.t, w.g.Tend(ctx))
	}
}

func (w *world) refuse(status int, method, path string) {
	w.sim.Inject(azuresim.Fault{Method: method, Path: path, Times: 100_000, Mode: azuresim.Refuse, Status: status, Code: "AuthorizationFailed"})
}

// A read that is refused is told with the call; one that merely fails says nothing.
func TestReadsThatAreRefused(t *testing.T) {
	t.Parallel()
	const vaultPath = root + "Microsoft.KeyVault/vaults/kv-a"
	for name, c := range map[string]struct {
		path string
		call string // that is named
	}{
		"the key":          {"/keys/kek/versions", "/versions"},
		"its rotation":     {"/keys/kek/rotationpolicy", "rotationpolicy"},
		"the cluster":      {root + "Microsoft.Cache/redisEnterprise/cache-a", "cache-a"},
		"the vault":        {vaultPath, "vaults/kv-a"},
		"who holds what":   {vaultPath + "/keys/kek/providers/Microsoft.Authorization/roleAssignments", "roleAssignments"},
		"who is kept away": {vaultPath + "/providers/Microsoft.Authorization/denyAssignments", "denyAssignments"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watched(t, guard.Watch{Beats: true})
			w.g.Reconcile = time.Hour
			w.hours(1)
			if name == "the cluster" { // what we may not read is in no list
				w.sim.HideFromGraph(w.cluster)
			}
			w.refuse(422, http.MethodGet, c.path)
			w.hours(1)
			w.want("it fails", "SELF-005", 0, 0)
			w.sim.ClearFaults()
			w.refuse(403, http.MethodGet, c.path)
			w.hours(2)
			if n := w.told.opened("SELF-005"); n == 0 || n > 2 || !w.told.has("SELF-005", c.call) {
				t.Fatalf("refused: told %d times", n)
			}
			opened := w.told.opened("SELF-005")
			w.sim.ClearFaults()
			w.refuse(422, http.MethodGet, c.path)
			w.hours(1)
			w.want("it fails again", "SELF-005", opened, 0)
			w.sim.ClearFaults()
			w.hours(1)
			w.want("mended", "SELF-005", opened, opened)
		})
	}
}

func TestASubscriptionThatIsNoLongerSeenWhole(t *testing.T) {
	t.Parallel()
	permissions := "/subscriptions/" + sub + "/providers/Microsoft.Authorization/permissions"
	for name, c := range map[string]struct {
		blind func(w *world)
		says  string
	}{
		"our role is gone": {func(w *world) {
			w.sim.AddCaller(azuresim.Caller{Name: "guard", ObjectID: "99999999-9999-9999-9999-999999999999", Token: "token"})
		}, "it could not be read"},
		"our permissions are refused": {func(w *world) { w.refuse(403, http.MethodGet, permissions) }, "our permissions could not be read"},
		"the subscription is hidden":  {func(w *world) { w.refuse(404, http.MethodGet, "/subscriptions/"+sub) }, "HTTP 404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watched(t, guard.Watch{Beats: true})
			w.g.Reconcile = time.Hour
			w.hours(1)
			w.refuse(429, http.MethodGet, permissions)
			w.hours(1)
			w.want("throttled", "SELF-004", 0, 0)
			w.sim.ClearFaults()
			w.hours(1)
			c.blind(w)
			w.hours(2)
			w.want("blind", "SELF-004", 1, 0)
			if !w.told.has("SELF-004", c.says) || !w.told.has("SELF-004", "it was seen whole, with 1 clusters") {
				t.Fatal("what is lacking, or since when, is not told")
			}
			w.sim.ClearFaults()
			w.refuse(429, http.MethodGet, permissions)
			w.hours(1)
			w.want("throttled again", "SELF-004", 1, 0)
			w.sim.ClearFaults()
			w.sim.AddCaller(azuresim.Caller{Name: "guard", ObjectID: "99999999-9999-9999-9999-999999999999", Token: "token", Reads: true, Writes: true, Repairs: true})
			w.hours(1)
			w.want("mended", "SELF-004", 1, 1)
		})
	}
}

// One that was never seen whole is told too, and says that it never was.
func TestASubscriptionThatWasNeverSeenWhole(t *testing.T) {
	t.Parallel()
	w := watched(t, guard.Watch{Beats: true})
	w.g.Reconcile = time.Hour
	w.refuse(403, http.MethodGet, "/subscriptions/"+sub)
	w.hours(1)
	w.want("never", "SELF-004", 1, 0)
	if _, ok, err := w.b.State.Get(ctx, "self", store.Name("sight", sub)); ok || err != nil {
		t.Fatalf("it is kept as seen whole: %v", err)
	}
	if !w.told.has("SELF-004", "was never seen whole") || strings.Contains(w.told.first(t, "SELF-004").What, "0001-01-01") {
		t.Fatalf("%s", w.told.first(t, "SELF-004").What)
	}
}

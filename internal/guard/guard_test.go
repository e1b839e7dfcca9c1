package guard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// Names of azuresim.Sample.
const (
	sub  = "11111111-1111-1111-1111-111111111111"
	root = "/subscriptions/" + sub + "/resourceGroups/rg/providers/"
	who  = "22222222-2222-2222-2222-222222222201"
	host = "kv-a.vault.azure.net"
)

var ctx = context.Background()

const year = 365 * 24 * time.Hour

func TestRotationAndFollowing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"v1", "v2"} {
		w := newWorld(t, setup{kind: kind, created: year, mode: policy.Auto})
		w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.Tags = map[string]string{"owner": "team-a"} })
		w.take(w.sim.NearExpiry(w.key, "e1"))
		w.run(4)
		if n := len(w.sim.Versions(w.key)); n != 2 || w.rotates() != 1 || !w.onNewest() {
			t.Fatalf("%s: %d versions, %d rotations, follows %v", kind, n, w.rotates(), w.onNewest())
		}
		patches := w.sim.Count(http.MethodPatch, w.cluster.String())
		if (kind == "v1") != (patches == 1) || patches > 1 {
			t.Fatalf("%s: %d PATCHes", kind, patches)
		}
		if !w.told.has("", "Done: rotate") || !w.told.has("CMK-013", "") {
			t.Fatalf("%s: people were not told", kind)
		}
		if a := w.told.titled(t, "Done: rotate"); len(a.Impact) != 1 || a.Impact[0].Owner != "team-a" {
			t.Errorf("%s: whose cluster it is: %+v", kind, a.Impact)
		}
		if r := w.verify(); len(r.Problems) > 0 || r.Unsealed > 0 || r.Size < 5 {
			t.Fatalf("%s: %+v", kind, r)
		}
	}
}

func TestAHundredDeliveriesAtOnceRotateOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	body := w.sim.NearExpiry(w.key, "e1")
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := w.g.Take(ctx, "keyvaultevents", body); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// And a hundred messages for it, worked on by several at once.
	ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 100, time.Minute)
	must(t, err)
	for range 100 {
		wg.Go(func() {
			if err := w.g.Work(ctx, ms[0].Body); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.run(3)
	if w.rotates() != 1 || len(w.sim.Versions(w.key)) != 2 {
		for _, a := range w.told.all {
			t.Logf("%s", alert.Render(a, w.sim.Clock().Now()))
		}
		t.Fatalf("%d rotations, %d versions", w.rotates(), len(w.sim.Versions(w.key)))
	}
}

func TestRotateKeyAnswersThatLie(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]azuresim.Fault{
		"503 after it rotated": {Mode: azuresim.After, Status: 503, Code: "ServiceUnavailable"},
		"connection cut":       {Mode: azuresim.Drop},
		"it lands late":        {Mode: azuresim.Late, Status: 504, Code: "Timeout", Delay: 4 * time.Minute},
		"throttled":            {Mode: azuresim.Refuse, Status: 429, Code: "Throttled", Retry: "30"},
		"503 and no effect":    {Mode: azuresim.Refuse, Status: 503, Code: "ServiceUnavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{kind: "v2", created: year, mode: policy.Auto})
			// The client must know its tenant first, or the fault meets the
			// request that only asks for the challenge.
			f.Method, f.Path, f.Times = http.MethodPost, "/keys/kek/rotate", 1
			w.g.Vault.Versions(ctx, w.key)
			w.sim.Inject(f)
			w.take(w.sim.NearExpiry(w.key, "e1"))
			w.run(4)
			if n := len(w.sim.Versions(w.key)); n != 2 || !w.onNewest() {
				t.Fatalf("%d versions, follows %v", n, w.onNewest())
			}
		})
	}
}

func TestHeldWithItsReason(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		o      setup
		change func(*world)
		check  string
		reason string
	}{
		"three days old": {setup{kind: "v1", created: 72 * time.Hour, mode: policy.Auto}, nil, "CMK-013", "3 days old"},
		"dry run":        {setup{kind: "v1", created: year, mode: policy.DryRun}, nil, "CMK-013", "dry run"},
		"approve":        {setup{kind: "v1", created: year, mode: policy.Approve}, nil, "CMK-013", "waits for an approval"},
		"observing":      {setup{kind: "v1", created: year, mode: policy.Auto, observe: "policy.yaml:3: no such mode"}, nil, "CMK-013", "policy.yaml:3"},
		"a stranger's version": {setup{kind: "v1", created: year, mode: policy.Auto}, func(w *world) {
			w.sim.AddVersion(w.key, azuresim.KeyOptions{Created: w.sim.Clock().Now().Add(-time.Hour)})
		}, "CMK-067", "no intent of ours names it"},
		"identity cut off": {setup{kind: "v1", created: year, mode: policy.Auto}, func(w *world) { w.sim.Unassign(who) }, "CMK-013", "CMK-050"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.o)
			if c.change != nil {
				c.change(w)
			}
			w.take(w.sim.NearExpiry(w.key, "e1"))
			w.run(1)
			if w.writes() != 0 {
				t.Fatalf("%d writes", w.writes())
			}
			if !w.told.has(c.check, c.reason) {
				for _, a := range w.told.all {
					t.Logf("%s\n", alert.Render(a, w.sim.Clock().Now()))
				}
				t.Fatalf("no alert of %s says %q", c.check, c.reason)
			}
		})
	}
}

func TestFixedIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.DryRun})
	w.sim.Unassign(who)
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.run(0)
	for range 5 {
		ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
		must(t, err)
		for _, m := range ms {
			must(t, w.g.Work(ctx, m.Body))
		}
	}
	if !w.told.has("CMK-050", "Identity lost its access to the key") {
		t.Fatal("lost access was not told")
	}
	w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
	w.take(w.sim.NearExpiry(w.key, "e2"))
	w.run(1)
	if !w.told.has("CMK-050", "Fixed") {
		t.Fatal("the end was not told")
	}
}

func TestPoisonIsKeptWholeAndTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	for _, bad := range []string{`nonsense`, `{"id":"x","eventType":"Microsoft.KeyVault.KeyNearExpiry","topic":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv-a","subject":"k","data":{"Id":"https://evil.example/keys/k/aa"}}`} {
		w.take(json.RawMessage(bad))
		w.take(json.RawMessage(bad))
	}
	rows, err := w.b.State.Scan(ctx, "poison", "poison~", "poison~~", 10)
	must(t, err)
	if len(rows) != 2 {
		t.Fatalf("%d poison rows, want 2", len(rows))
	}
	w.run(1)
	if !w.told.has("", "Could not be handled") || w.writes() != 0 {
		t.Fatal("poison was not told, or acted on")
	}
	for _, c := range w.sim.Calls() {
		if strings.Contains(c.Host, "evil") {
			t.Fatal("a foreign host was called")
		}
	}
}

func TestEveryCapturedEventIsTaken(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../shared/payloads/*keyvault*.json")
	more, _ := filepath.Glob("../../../shared/payloads/synthetic/*.json")
	if files = append(files, more...); err != nil || len(files) == 0 {
		t.Skip("the shared payloads are not beside this checkout")
	}
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	for _, f := range files {
		raw, err := os.ReadFile(f)
		must(t, err)
		if err := w.g.Take(ctx, "keyvaultevents", raw); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	w.run(1)
}

func TestASignalThatWasNeverQueuedIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	queue := w.g.Queue
	w.g.Queue = deaf{queue}
	if err := w.g.Take(ctx, "keyvaultevents", w.sim.NearExpiry(w.key, "e1")); err == nil {
		t.Fatal("a queue that refuses must fail the invocation, so that it comes again")
	}
	w.g.Queue = queue
	w.sim.Clock().Advance(5 * time.Minute)
	must(t, w.g.Sweep(ctx))
	w.run(3)
	if w.rotates() != 1 {
		t.Fatalf("%d rotations: the stored signal was lost", w.rotates())
	}
	_, ok, err := w.b.State.Get(ctx, incident.Partition(event.Subject{Kind: event.SubjectKey, ID: w.key.ID()}), "incident~CMK-013")
	if err != nil || !ok {
		t.Fatal("no incident", err)
	}
}

type deaf struct{ store.Queue }

func (deaf) Put(context.Context, string, []byte, time.Duration) error {
	return fmt.Errorf("the queue is gone")
}

func TestThrottledEnumerationIsNotNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	w.sim.Inject(azuresim.Fault{Method: http.MethodPost, Path: "/providers/Microsoft.ResourceGraph/resources", Times: 3, Mode: azuresim.Refuse, Status: 429, Code: "RateLimiting"})
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.run(3)
	if w.rotates() != 1 {
		t.Fatalf("%d rotations: a throttled list was taken for an empty one", w.rotates())
	}
}

func TestUnseenConsumersAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	w.sim.Inject(azuresim.Fault{Method: http.MethodPost, Path: "/providers/Microsoft.ResourceGraph/resources", Times: 1000, Mode: azuresim.Refuse, Status: 403, Code: "AuthorizationFailed"})
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.run(3)
	if w.writes() != 0 || !w.told.has("", "Cannot tell who uses") {
		t.Fatalf("%d writes, told %v", w.writes(), w.told.all)
	}
}

func TestThrottledForAMinute(t *testing.T) {
	t.Parallel()
	for name, throttled := range map[string]func(*http.Request) bool{
		"Resource Manager": func(r *http.Request) bool {
			return r.Host == "management.azure.com" && !strings.Contains(r.URL.Path, "ResourceGraph")
		},
		"Resource Graph": func(r *http.Request) bool { return strings.Contains(r.URL.Path, "ResourceGraph") },
		"Key Vault":      func(r *http.Request) bool { return r.Host == host && r.Header.Get("Authorization") != "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
			until := w.sim.Clock().Now().Add(time.Minute)
			var asked atomic.Int64
			w.sim.SetTap(func(r *http.Request) *azuresim.Fault {
				if !throttled(r) || !w.sim.Clock().Now().Before(until) {
					return nil
				}
				asked.Add(1)
				return &azuresim.Fault{Mode: azuresim.Refuse, Status: 429, Code: "TooManyRequests", Retry: "20"}
			})
			for n := range 20 { // twenty signals, one subject
				w.take(w.sim.NearExpiry(w.key, fmt.Sprintf("e%d", n)))
			}
			w.runFor(2 * time.Minute)
			w.run(3)
			rows, err := w.b.State.Scan(ctx, "poison", "", "", 10)
			must(t, err)
			given, err := w.b.Queue.Take(ctx, guard.WorkQueue+"-poison", 32, time.Minute)
			must(t, err)
			if len(rows)+len(given) > 0 || w.rotates() != 1 || !w.onNewest() {
				t.Fatalf("%d poison rows, %d messages given up, %d rotations", len(rows), len(given), w.rotates())
			}
			t.Logf("20 signals asked the throttled %s %d times in its minute", name, asked.Load())
			if asked.Load() > 12 {
				t.Fatalf("asked %d times in a minute, though told to wait 20 s", asked.Load())
			}
		})
	}
}

// otherAnswers are the switches of the simulated Azure, each at what the
// references mark as inferred or not documented.
func otherAnswers() map[string]azuresim.Options {
	return map[string]azuresim.Options{
		"managed caches adopt nothing":           {NoAdopt: true},
		"GET hides what was adopted":             {HideAdopt: true},
		"adoption takes the whole two hours":     {AdoptAfter: 2 * time.Hour},
		"a PATCH takes half an hour":             {PatchTakes: 30 * time.Minute},
		"resourceState lags by ten minutes":      {StateLag: 10 * time.Minute},
		"an unreachable key is refused at once":  {SyncRefuse: true},
		"Resource Graph is five minutes behind":  {GraphLag: 5 * time.Minute},
		"Resource Graph counts no queries":       {NoGraphQuota: true},
		"a cluster without its key dies at once": {OfflineLag: time.Second},
	}
}

func TestTheMainJobUnderAzuresOtherAnswers(t *testing.T) {
	t.Parallel()
	for name, o := range otherAnswers() {
		for _, kind := range []string{"v1", "v2"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, setup{kind: kind, created: year, mode: policy.Auto, azure: o})
				w.sim.Clock().Advance(time.Hour) // Resource Graph has seen the world
				w.take(w.sim.NearExpiry(w.key, "e1"))
				w.run(6)
				if n := len(w.sim.Versions(w.key)); n != 2 || w.rotates() != 1 || !w.onNewest() {
					t.Fatalf("%d versions, %d rotations, follows %v", n, w.rotates(), w.onNewest())
				}
				if r := w.verify(); len(r.Problems) > 0 || r.Unsealed > 0 {
					t.Fatalf("%+v", r)
				}
			})
		}
	}
}

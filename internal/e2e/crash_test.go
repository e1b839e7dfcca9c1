package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/hostproc"
)

// world is the binary, killed and started again, in a simulated Azure.
type world struct {
	t      *testing.T
	sim    *azuresim.Sim
	sample azuresim.Sample
	env    map[string]string
	binary string
	state  string // directory
	points *counter
}

// counter numbers the calls that arrive and chooses what becomes of one.
type counter struct {
	mu    sync.Mutex
	calls []string
	at    int
	mode  azuresim.Mode
	kill  func()
	fired chan struct{}
}

func (c *counter) tap(r *http.Request) *azuresim.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, r.Method+" "+r.URL.Path)
	if len(c.calls) != c.at {
		return nil
	}
	c.kill() // it never sees the answer, whatever becomes of the request
	close(c.fired)
	return &azuresim.Fault{Mode: c.mode, Status: http.StatusBadGateway, Code: "BadGateway", Delay: 100 * time.Second}
}

func isEffect(call string) bool {
	return strings.HasPrefix(call, http.MethodPatch) || strings.HasPrefix(call, http.MethodPost) && strings.HasSuffix(call, "/rotate")
}

const policyText = `version: 1
remedies: {rotate: auto, rewire: auto}
channels:
  - {name: log, kind: console}
alerts:
  - {minSeverity: info, channels: [log]}
`

func newWorld(t *testing.T, binary string) *world {
	return newWorldIn(t, binary, azuresim.Options{Wall: time.Now, PatchTakes: time.Minute, StateLag: 10 * time.Second})
}

func newWorldIn(t *testing.T, binary string, o azuresim.Options) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, binary: binary, state: filepath.Join(dir, "state"), points: &counter{fired: make(chan struct{})}}
	w.sim = azuresim.New(o)
	w.sample = w.sim.AddSample("v1", 365*24*time.Hour)
	server, err := w.sim.Serve()
	must(t, err)
	t.Cleanup(server.Close)
	profile, err := server.WriteProfile(dir, w.sample.Token)
	must(t, err)
	policy := filepath.Join(dir, "policy.yaml")
	must(t, os.WriteFile(policy, []byte(policyText), 0o600))
	w.env = map[string]string{
		"CMKGUARD_STATE": "file:" + w.state, "CMKGUARD_CLOUD": profile, "CMKGUARD_POLICY": policy,
		"CMKGUARD_SUBSCRIPTIONS": w.sample.Subscription, "CMKGUARD_REMEDIATOR_CLIENT_ID": "88888888-8888-8888-8888-888888888888",
	}
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// story posts the event, as often as it takes, and lets the world's time pass
// until the end was told. When the first process is killed, heirs take over.
func (w *world) story(ctx context.Context, heirs int) error {
	first := hostproc.New(w.binary, w.env)
	living := []*hostproc.Child{first}
	defer func() {
		for _, c := range living {
			c.Stop()
		}
	}()
	w.points.kill = first.Kill
	w.sim.SetTap(w.points.tap)
	must(w.t, first.Start(ctx))
	replace := func() {
		select {
		case <-w.points.fired:
		default:
			return
		}
		w.points.fired = make(chan struct{})
		living = nil
		for range heirs {
			c := hostproc.New(w.binary, w.env)
			living = append(living, c)
			must(w.t, c.Start(ctx))
		}
	}
	event := w.sim.NearExpiry(w.sample.Key, "event-1")
	for living[0].Event(ctx, event) != nil {
		time.Sleep(10 * time.Millisecond) // the process is dead or starting: Event Grid tries again too
		replace()
	}
	return w.end(ctx, func() *hostproc.Child { replace(); return living[0] })
}

// pace is the world's time while the processes in it are looked at.
func (w *world) pace() *hostproc.Pace {
	return &hostproc.Pace{
		Calls: func() int { return len(w.sim.Calls()) }, State: w.state, Advance: w.sim.Clock().Advance,
		Step: 20 * time.Second, Least: 60 * time.Millisecond,
	}
}

// end lets six hours of the world's time pass, or less if the end was told by one who
// is alive; the wall's time is a bound for what hangs.
func (w *world) end(ctx context.Context, alive func() *hostproc.Child) error {
	pace, ticks := w.pace(), 0
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c := alive()
		if !pace.Tick() && time.Now().Before(end) {
			continue
		}
		ticks++
		over := ticks > 6*60*3 || time.Now().After(end)
		if !w.followed() {
			if over {
				return fmt.Errorf("the cluster never followed, in %d steps of time\n%s", ticks, c.Tail())
			}
			continue
		}
		err := w.settled(ctx, c)
		if err == nil {
			return nil
		}
		if over {
			return fmt.Errorf("it did not end, in %d steps of time: %w\n%s", ticks, err, c.Tail())
		}
	}
}

func (w *world) followed() bool {
	all := w.sim.Versions(w.sample.Key)
	return len(all) > 1 && strings.HasSuffix(w.sim.Cluster(w.sample.Cluster).CMK.KeyURL, all[len(all)-1])
}

func (w *world) settled(ctx context.Context, c *hostproc.Child) error {
	patches := 0
	for _, call := range w.sim.Calls() {
		if call.Method == http.MethodPatch && call.Status < 300 {
			patches++
		}
	}
	out, err := c.Command(ctx, "audit", "verify")
	switch {
	case len(w.sim.Versions(w.sample.Key)) != 2 || !w.followed():
		return fmt.Errorf("%d versions, followed %v", len(w.sim.Versions(w.sample.Key)), w.followed())
	case patches > 1:
		return fmt.Errorf("%d PATCHes took effect", patches)
	case err != nil || !strings.Contains(out, "unsealed 0"):
		return fmt.Errorf("journal: %v %s", err, out)
	}
	shown, err := c.Command(ctx, "show", w.sample.Key.String())
	if err != nil || !strings.Contains(shown, `"phase":"done"`) {
		return fmt.Errorf("the saga is not done: %v", err)
	}
	return nil
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "cmkguard")
	cmd := exec.Command("go", "build", "-o", binary, "cmkguard")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// TestProcessKilledAtEveryCall kills the real process at each call that it
// makes to Azure, the call having taken effect, not, or taking effect late;
// then it is started again, or two take over. The points come from a run that
// nobody disturbed.
func TestProcessKilledAtEveryCall(t *testing.T) {
	if os.Getenv("CMKGUARD_CRASH") != "all" {
		t.Skip("set CMKGUARD_CRASH=all, or run make crash: it takes minutes")
	}
	binary := build(t)
	ctx := context.Background()
	clean := newWorld(t, binary)
	must(t, clean.story(ctx, 1))
	points := 0
	t.Run("points", func(t *testing.T) {
		for i, call := range clean.points.calls {
			modes := []azuresim.Mode{azuresim.Refuse}
			if isEffect(call) {
				modes = append(modes, azuresim.Drop, azuresim.Late)
			}
			for _, mode := range modes {
				points++
				for _, heirs := range []int{1, 2} {
					t.Run(fmt.Sprintf("call %d, %s, %s, %d heirs", i+1, call, mode, heirs), func(t *testing.T) {
						t.Parallel()
						w := newWorld(t, binary)
						w.points.at, w.points.mode = i+1, mode
						if err := w.story(ctx, heirs); err != nil {
							t.Error(err)
						}
					})
				}
			}
		}
	})
	t.Logf("%d calls to Azure, %d crash points, each with one heir and with two", len(clean.points.calls), points)
}

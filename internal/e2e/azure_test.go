package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/hostproc"
	"cmkguard/internal/store/azurite"
)

func signingKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// onAzurite is a world whose state is in the storage emulator. Its queue has a
// clock of its own, so that the world's clock is the wall's, and what Azure takes
// minutes for takes seconds.
func onAzurite(t *testing.T, s *azurite.Server) *world {
	t.Helper()
	w := newWorldIn(t, build(t), azuresim.Options{Wall: time.Now, Start: time.Now(), PatchTakes: time.Second, StateLag: time.Second})
	for k, v := range s.Env() {
		w.env[k] = v
	}
	w.env["CMKGUARD_JOURNAL_KEY"] = signingKey(t)
	return w
}

// TestTheMainStoryOnAzureStorage: two workers, events delivered twice, the
// state in a storage account.
func TestTheMainStoryOnAzureStorage(t *testing.T) {
	t.Parallel()
	s := azurite.Start(t)
	w := onAzurite(t, s)
	ctx := context.Background()
	a, b := w.standalone(ctx), w.standalone(ctx)
	event := w.sim.NearExpiry(w.sample.Key, "event-1")
	for range 2 {
		must(t, a.Event(ctx, event))
		must(t, b.Event(ctx, event))
	}
	must(t, w.await(90*time.Second, func() error { return w.settled(ctx, b) }))
}

// standalone starts a worker that pumps the account's queues itself.
func (w *world) standalone(ctx context.Context) *hostproc.Child {
	c := hostproc.New(w.binary, w.env, "standalone")
	must(w.t, c.Start(ctx))
	w.t.Cleanup(c.Stop)
	return c
}

// await asks until ask has no more to say, for as long as the wall allows.
func (w *world) await(d time.Duration, ask func() error) error {
	for end := time.Now().Add(d); ; time.Sleep(300 * time.Millisecond) {
		err := ask()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// TestSignalsSurviveDuplicatesAndAStorageCrash posts signals to two workers,
// every tenth twice, and kills the storage in the middle.
func TestSignalsSurviveDuplicatesAndAStorageCrash(t *testing.T) {
	t.Parallel()
	s := azurite.Start(t)
	w := onAzurite(t, s)
	signals := 100
	if n, err := strconv.Atoi(os.Getenv("CMKGUARD_SIGNALS")); err == nil {
		signals = n
	}
	ctx := context.Background()
	workers := []*hostproc.Child{w.standalone(ctx), w.standalone(ctx)}
	for i := range signals {
		event := w.sim.NearExpiry(w.sample.Key, fmt.Sprintf("event-%d", i))
		times := 1
		if i%10 == 0 {
			times = 2
		}
		for n := range times {
			w.deliver(ctx, workers[(i+n)%2], event)
		}
		if i == signals/2 {
			s.Stop()
			time.AfterFunc(3*time.Second, s.Restart)
		}
	}
	done := func() error {
		n, err := w.signalsDone(ctx)
		if err != nil || n != signals {
			return fmt.Errorf("%d of %d signals are done: %v", n, signals, err)
		}
		return w.settled(ctx, workers[0])
	}
	must(t, w.await(8*time.Minute+time.Duration(signals)*200*time.Millisecond, done))
	t.Logf("%d signals, %d delivered twice, storage killed once: %d RotateKey, %d versions", signals, signals/10,
		w.sim.Count("POST", "/rotate"), len(w.sim.Versions(w.sample.Key)))
}

// deliver tries until the event is taken, as Event Grid does.
func (w *world) deliver(ctx context.Context, c *hostproc.Child, event []byte) {
	w.t.Helper()
	must(w.t, w.await(time.Minute, func() error { return c.Event(ctx, event) }))
}

// signalsDone counts the signals that were worked on, from the record: one
// entry each.
func (w *world) signalsDone(ctx context.Context) (int, error) {
	c := hostproc.New(w.binary, w.env)
	out, err := c.Command(ctx, "audit", "export")
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		if i := strings.Index(line, `"ref":"event-`); i >= 0 && strings.Contains(line, `"kind":"signal"`) {
			ref, _, _ := strings.Cut(line[i+7:], `"`)
			if seen[ref] {
				continue
			}
			seen[ref] = true
		}
	}
	return len(seen), nil
}

package guard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/journal"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/store/filestore"
)

// box is a folder of dead letters that can be made to fail.
type box struct {
	filestore.Letters
	dir  string
	fail func(call, name string) error
}

func (b *box) ask(call, name string) error {
	if b.fail == nil {
		return nil
	}
	return b.fail(call, name)
}

func (b *box) Get(ctx context.Context, name string) ([]byte, store.Letter, error) {
	if err := b.ask("get", name); err != nil {
		return nil, store.Letter{}, err
	}
	return b.Letters.Get(ctx, name)
}

func (b *box) Delete(ctx context.Context, l store.Letter) error {
	if err := b.ask("delete", l.Name); err != nil {
		return err
	}
	return b.Letters.Delete(ctx, l)
}

func (b *box) put(t *testing.T, name string, body []byte) {
	t.Helper()
	file := filepath.Join(b.dir, filestore.LettersDir, name)
	must(t, os.MkdirAll(filepath.Dir(file), 0o700))
	must(t, os.WriteFile(file, body, 0o600))
}

// givenUp is an event as Event Grid leaves it when it gives it up.
func givenUp(event []byte) string {
	more := `{"deadLetterReason":"MaxDeliveryAttemptsExceeded","deliveryAttempts":30,"lastDeliveryOutcome":"NotFound","publishTime":"2026-10-31T10:00:00Z",`
	return more + string(bytes.TrimPrefix(bytes.TrimSpace(event), []byte("{")))
}

const letterName = "CMKGUARD/2026/11/1/9/1.json"

func withBox(t *testing.T, mode policy.Mode) (*world, *box) {
	t.Helper()
	w := newWorld(t, setup{kind: "v2", created: year, mode: mode})
	dir := t.TempDir()
	b := &box{Letters: filestore.OpenLetters(dir), dir: dir}
	w.g.Letters.Box = b
	return w, b
}

func (w *world) waiting() int {
	w.t.Helper()
	n, err := w.g.Letters.Count(ctx, 1000)
	must(w.t, err)
	return n
}

func (w *world) alerts(title string) (out []alert.Alert) {
	w.told.mu.Lock()
	defer w.told.mu.Unlock()
	for _, a := range w.told.all {
		if strings.Contains(a.Title, title) {
			out = append(out, a)
		}
	}
	return out
}

const tookIn = "which we took in now"

// An event that Event Grid gave up is one that nobody handled.
func TestTheSweepTakesInWhatEventGridGaveUp(t *testing.T) {
	t.Parallel()
	w, b := withBox(t, policy.Auto)
	b.put(t, letterName, []byte("["+givenUp(w.sim.NearExpiry(w.key, "e1"))+"]"))
	if w.waiting() != 1 {
		t.Fatal("not counted")
	}
	must(t, w.g.Sweep(ctx))
	if w.waiting() != 0 {
		t.Fatal("it was taken in, and lies there")
	}
	w.run(4)
	a := w.alerts(tookIn)
	if w.rotates() != 1 || len(a) != 1 || a[0].Severity != risk.High || !strings.Contains(a[0].What, "MaxDeliveryAttemptsExceeded, last answer NotFound (1)") || a[0].Since.Format("15:04") != "10:00" {
		t.Fatalf("%d rotations, told %+v", w.rotates(), a)
	}
	if !w.journalHas("dead letter " + letterName + " taken in: 1 event, 1 of them new; MaxDeliveryAttemptsExceeded after 30 attempts, last answer NotFound") {
		t.Fatal("not on the record")
	}
}

// What came by another way is done once, and nobody is alarmed.
func TestADeadLetterOfWhatCameAfterAllChangesNothing(t *testing.T) {
	t.Parallel()
	w, b := withBox(t, policy.Auto)
	body := w.sim.NearExpiry(w.key, "e1")
	w.take(body)
	w.run(4)
	b.put(t, letterName, []byte(givenUp(body)))
	must(t, w.g.Sweep(ctx))
	w.run(4)
	w.take(body)
	w.run(1)
	if a := w.alerts(tookIn); w.rotates() != 1 || w.waiting() != 0 || len(a) != 1 || a[0].Severity != risk.Low || a[0].Breaks != "" {
		t.Fatalf("%d rotations, %d waiting, told %+v", w.rotates(), w.waiting(), a)
	}
}

// Wherever a sweep dies, the next goes on; the event is worked on once and told once.
func TestASweepThatDiesOverADeadLetter(t *testing.T) {
	t.Parallel()
	dead := errors.New("killed")
	for name, die := range map[string]func(w *world, b *box){
		"reading": func(_ *world, b *box) { b.fail = once(func(call, _ string) bool { return call == "get" }, dead) },
		"taking": func(w *world, _ *box) {
			w.dies(func(p string, _ []store.Op) bool { return strings.HasPrefix(p, "signal~") })
		},
		"recording": func(w *world, _ *box) { w.dies(func(p string, _ []store.Op) bool { return p == "deadletter" }) },
		"deleting":  func(_ *world, b *box) { b.fail = once(func(call, _ string) bool { return call == "delete" }, dead) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b := withBox(t, policy.Auto)
			b.put(t, letterName, []byte(givenUp(w.sim.NearExpiry(w.key, "e1"))))
			die(w, b)
			if err := w.g.Sweep(ctx); err == nil {
				t.Fatal("it did not die")
			}
			if w.waiting() != 1 {
				t.Fatal("the letter is gone before its time")
			}
			must(t, w.g.Sweep(ctx))
			w.run(4)
			if w.rotates() != 1 || w.waiting() != 0 || len(w.alerts(tookIn)) != 1 {
				t.Fatalf("%d rotations, %d waiting, told %d times", w.rotates(), w.waiting(), len(w.alerts(tookIn)))
			}
			rows, err := w.b.State.Scan(ctx, "deadletter", "taken~", "taken~~", 10)
			if err != nil || len(rows) != 0 {
				t.Fatalf("%d marks are left, %v", len(rows), err)
			}
		})
	}
}

func once(at func(call, name string) bool, err error) func(call, name string) error {
	done := false
	return func(call, name string) error {
		if done || !at(call, name) {
			return nil
		}
		done = true
		return err
	}
}

func (w *world) dies(at func(partition string, ops []store.Op) bool) {
	d := &dies{State: w.b.State, at: at}
	w.g.State, w.g.Rec = d, journal.NewRecorder(d, "test", w.sim.Clock().Now)
}

// What cannot be read stays where it is, is told once, and keeps nothing else back.
func TestADeadLetterThatCannotBeReadStays(t *testing.T) {
	t.Parallel()
	w, b := withBox(t, policy.Auto)
	good := givenUp(w.sim.NearExpiry(w.key, "e1"))
	b.put(t, "A/junk.json", []byte("{"))
	b.put(t, "A/mixed.json", []byte(`[`+good+`,{"id":"e2","eventType":"Microsoft.KeyVault.KeyExpired"}]`))
	b.put(t, "A/theirs.json", []byte(`{"id":"x","eventType":"Microsoft.Storage.BlobCreated","topic":"t","subject":"s","data":{}}`))
	b.put(t, "A/unrelated.json", []byte(`{"id":"y","eventType":"Microsoft.KeyVault.SecretExpired","topic":"t","subject":"s","data":{}}`))
	b.put(t, "A/zero.json", nil)
	b.put(t, "A/huge.json", bytes.Repeat([]byte(" "), 5<<20))
	for range 3 {
		must(t, w.g.Sweep(ctx))
	}
	w.run(4)
	const stays = "cannot be taken in and stays"
	var left []string
	why := map[string]string{}
	must(t, w.g.EachDeadLetter(ctx, func(d guard.DeadLetter) error { left = append(left, d.Name); why[d.Name] = d.Why; return nil }))
	if !slices.Equal(left, []string{"A/huge.json", "A/junk.json", "A/mixed.json", "A/theirs.json", "A/zero.json"}) || w.waiting() != 5 {
		t.Fatalf("left: %q", left)
	}
	if w.rotates() != 1 || len(w.alerts(stays)) != 5 {
		t.Fatalf("%d rotations: what is good in a bad letter was held back; told %d times", w.rotates(), len(w.alerts(stays)))
	}
	for name, text := range map[string]string{"A/huge.json": "want at most 4194304", "A/mixed.json": "topic is missing", "A/theirs.json": "wrong container", "A/junk.json": "not JSON"} {
		if !strings.Contains(why[name], text) {
			t.Errorf("%s: %q", name, why[name])
		}
	}
	w.g = w.boot(parts{backend: w.b}) // another process
	w.g.Letters.Box = b
	must(t, w.g.Sweep(ctx))
	if w.run(1); len(w.alerts(stays)) != 5 {
		t.Fatal("told again by the next process")
	}
	b.put(t, "A/junk.json", []byte(`[]`)) // mended by hand: written anew, it is met anew
	must(t, w.g.Sweep(ctx))
	if w.waiting() != 4 {
		t.Fatal("what was mended stays")
	}
}

// What stays is an incident, and ends when it is dropped; what is taken in is none.
func TestDeadLettersThatStayAreAnIncident(t *testing.T) {
	t.Parallel()
	w, b := withBox(t, policy.DryRun)
	w.g.Watch, w.g.Reconcile = guard.Watch{Beats: true, DeadLetters: &w.g.Letters}, time.Hour
	b.put(t, "A/1.json", []byte(givenUp(w.sim.NearExpiry(w.key, "e1"))))
	w.run(2)
	if w.told.has("SELF-002", "") {
		t.Fatal("what was taken in is an incident")
	}
	b.put(t, "A/2.json", []byte("junk"))
	w.sim.Clock().Advance(time.Hour)
	must(t, w.g.Sweep(ctx))
	if !w.told.has("SELF-002", "1 or more events") {
		t.Fatal("nobody is told of what stays")
	}
	must(t, w.g.DropDeadLetter(ctx, "A/2.json", "ops", "ticket 7"))
	w.sim.Clock().Advance(time.Hour)
	must(t, w.g.Sweep(ctx))
	if !w.told.has("SELF-002", "Fixed") {
		t.Fatal("it never ends")
	}
}

func TestDeadLettersByHand(t *testing.T) {
	t.Parallel()
	w, b := withBox(t, policy.Auto)
	b.put(t, "A/1.json", []byte(givenUp(w.sim.NearExpiry(w.key, "e1"))))
	b.put(t, "A/2.json", []byte("junk"))
	r, err := w.g.ReplayDeadLetter(ctx, "A/1.json", "ops")
	if err != nil || !r.Taken || w.waiting() != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	if r, err = w.g.ReplayDeadLetter(ctx, "A/2.json", "ops"); err != nil || r.Taken || r.Why == "" {
		t.Fatalf("%+v %v", r, err)
	}
	if _, err = w.g.ReplayDeadLetter(ctx, "A/3.json", "ops"); !fault.Is(err, fault.Conflict) {
		t.Fatalf("%v: no such letter", err)
	}
	if err = w.g.DropDeadLetter(ctx, "A/2.json", "ops", ""); !fault.Is(err, fault.Invalid) || w.waiting() != 1 {
		t.Fatalf("dropped without a reason: %v", err)
	}
	must(t, w.g.DropDeadLetter(ctx, "A/2.json", "ops", "ticket 7"))
	w.run(4)
	if w.rotates() != 1 || w.waiting() != 0 || !w.journalHas("taken in by ops: 1 event") || !w.journalHas("dropped by ops: ticket 7") {
		t.Fatalf("%d rotations, %d waiting", w.rotates(), w.waiting())
	}
	w.g.Letters.Box = nil
	if err := w.g.EachDeadLetter(ctx, nil); !fault.Is(err, fault.Invalid) {
		t.Fatalf("%v", err)
	}
}

// More than one sweep takes, and one box that fails: the rest of the sweep is done.
func TestManyDeadLettersAreTakenInOverSweeps(t *testing.T) {
	t.Parallel()
	w, b := withBox(t, policy.Auto)
	for i := range 120 {
		raw, err := json.Marshal([]json.RawMessage{json.RawMessage(givenUp(w.sim.NearExpiry(w.key, fmt.Sprint("e", i))))})
		must(t, err)
		b.put(t, fmt.Sprintf("A/%03d.json", i), raw)
	}
	must(t, w.g.Sweep(ctx))
	if n, err := w.g.Letters.Count(ctx, 7); w.waiting() != 20 || n != 7 || err != nil {
		t.Fatalf("%d wait after one sweep, 7 of them are %d, %v", w.waiting(), n, err)
	}
	b.fail = func(string, string) error { return fault.New(fault.Denied, "box", "403") }
	if err := w.g.Sweep(ctx); !fault.Is(err, fault.Denied) || len(w.alerts(tookIn)) != 1 {
		t.Fatalf("%v, told %d times: one failing box kept everything", err, len(w.alerts(tookIn)))
	}
	b.fail = nil
	must(t, w.g.Sweep(ctx))
	if w.run(4); w.waiting() != 0 || w.rotates() != 1 || len(w.alerts(tookIn)) != 2 {
		t.Fatalf("%d wait, %d rotations, told %d times", w.waiting(), w.rotates(), len(w.alerts(tookIn)))
	}
	for i := range 120 {
		if name := fmt.Sprintf("A/%03d.json", i); !w.journalHas("dead letter " + name + " taken in") {
			t.Errorf("%s is not on the record", name)
		}
	}
}

package guard

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

// intake is a guard that can take in and nothing else.
func intake() *Guard {
	now := func() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }
	b := memstore.New(now).Backend()
	rec := journal.NewRecorder(b.State, "test", now)
	return &Guard{
		Cloud: azureid.Public(), Policy: policy.Default(), State: b.State, Queue: b.Queue, Rec: rec,
		Alerts: alert.NewDispatcher(b.State, rec, nil, now, func() float64 { return 0 }), Now: now, NewID: func() string { return "id" },
	}
}

// addEvents seeds a target with every payload that lies beside this tree and with
// the fixtures of internal/event.
func addEvents(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"../event/testdata/*.json", "../../../shared/payloads/*.json", "../../../shared/payloads/synthetic/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
}

// Whatever a door is given, each part of it is stored as a signal with a message
// that leads back to it, counted, or kept as poison; nothing is refused for ever.
func FuzzIntake(f *testing.F) {
	addEvents(f)
	f.Add([]byte(`{"records":[1,null]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<16 {
			return
		}
		for _, door := range []string{"events", "logs"} {
			g := intake()
			var err error
			taken := Taken{Poison: -1}
			if door == "logs" {
				taken, err = g.TakeLogs(t.Context(), door, [][]byte{raw})
			} else {
				err = g.Take(t.Context(), door, raw)
			}
			if err != nil {
				t.Fatalf("%s: %v", door, err)
			}
			checkQueued(t, g)
			kept, err := g.State.Scan(t.Context(), poisonPartition, "poison~", "poison~~", 1000)
			if err != nil || taken.Poison == 0 && len(kept) > 0 || taken.Poison > 0 && len(kept) == 0 {
				t.Fatalf("%s: %+v, %d kept, %v", door, taken, len(kept), err)
			}
		}
	})
}

// checkQueued takes every message and finds the signal that it is about.
func checkQueued(t *testing.T, g *Guard) {
	t.Helper()
	for {
		ms, err := g.Queue.Take(t.Context(), WorkQueue, store.MaxTake, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			got, err := decodeMessage(m.Body)
			if err != nil || len(m.Body) > 1<<10 {
				t.Fatalf("%d bytes, %v: %s", len(m.Body), err, m.Body)
			}
			if got.Kind != kindSignal {
				continue
			}
			row, ok, err := g.get(t.Context(), got.Partition, signalRow)
			var st storedSignal
			if err != nil || !ok || json.Unmarshal(row.Value, &st) != nil || st.State != signalQueued {
				t.Fatalf("a message without its signal: %s, %v", m.Body, err)
			}
			if s, ok := got.signal(g.Cloud); ok && s.Subject != st.Signal.Subject {
				t.Fatalf("the message is about %v, its signal about %v", s.Subject, st.Signal.Subject)
			}
		}
		if len(ms) < store.MaxTake {
			return
		}
	}
}

// A message of the work queue that is taken names what is to be done, and says
// the same after it went through the queue again.
func FuzzMessage(f *testing.F) {
	for _, m := range []message{
		{Kind: kindSignal, Partition: "signal~x", Hint: event.KeyDeleted, Key: "https://kv-a.vault.azure.net/keys/k", Tries: 3},
		{Kind: kindLook, About: "scope:/subscriptions/a"}, {Kind: kindSaga, Partition: "p", ID: "plan-1", Seq: 7}, {Kind: kindTend, Partition: "self"},
		{Kind: kindLook, Vault: "/subscriptions/a/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v"},
	} {
		f.Add(encode(m))
	}
	f.Add([]byte(`{"kind":"look","key":"https://evil.example/keys/k"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decodeMessage(raw)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		again, err := decodeMessage(encode(m))
		if err != nil || again != m && bytes.Equal(encode(again), encode(m)) == false {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
		s, ok := m.signal(azureid.Public())
		if !s.Key.IsZero() && azureid.Public().CheckVaultHost(s.Key.Host) != nil {
			t.Fatalf("a key of no vault: %v", s.Key)
		}
		if ok && s.Subject.Kind == "" && m.About == "" {
			t.Fatalf("a subject of no kind: %+v of %s", s.Subject, raw)
		}
	})
}

package app

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/journal"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

// keeping is a guard that can take in and keep, over a store in memory.
func keeping() (*guard.Guard, store.Backend) {
	now := func() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }
	b := memstore.New(now).Backend()
	rec := journal.NewRecorder(b.State, "test", now)
	ids := 0
	return &guard.Guard{
		Cloud: azureid.Public(), Policy: policy.Default(), State: b.State, Queue: b.Queue, Rec: rec, Now: now, NewID: func() string { ids++; return fmt.Sprint("id-", ids) },
		Alerts: alert.NewDispatcher(b.State, rec, nil, now, func() float64 { return 0 }),
	}, b
}

const (
	nearExpiry = `{"id":"e1","topic":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv-a","subject":"kek","eventType":"Microsoft.KeyVault.KeyNearExpiry",` +
		`"data":{"Id":"https://kv-a.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef"}}`
	deleted = `{"records":[{"category":"AuditEvent","operationName":"KeyDelete","time":"2026-11-01T00:00:00Z","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/KV-A",` +
		`"properties":{"id":"https://kv-a.vault.azure.net/keys/kek","httpStatusCode":200}}]}`
	lookAtKey = `{"kind":"look","key":"https://kv-a.vault.azure.net/keys/kek","vault":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv-a"}`
)

// request is the host's whole request.
func request(binding string, value any) string {
	raw, err := json.Marshal(map[string]any{"Data": map[string]any{binding: value}, "Metadata": map[string]any{"sys": map[string]any{}}})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func in64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestEverySourceOfPoisonIsReplayed: for each function, and the queue that the host
// gives messages up to, in both forms: what the function handed on, and the whole
// request. Each comes to one message of the work queue.
func TestEverySourceOfPoisonIsReplayed(t *testing.T) {
	t.Parallel()
	bodies := map[string][]string{
		"keyvaultevents":       {nearExpiry, "[" + nearExpiry + "]", request("event", json.RawMessage(nearExpiry)), request("event", "["+nearExpiry+"]")},
		"resourceevents":       {nearExpiry, request("event", json.RawMessage(nearExpiry)), strings.Replace(nearExpiry, `"data"`, `"Data"`, 1)},
		"eventqueue":           {nearExpiry, request("item", in64(nearExpiry)), request("item", string(mustJSON(nearExpiry)))},
		"vaultlogs":            {deleted, request("logs", string(mustJSON([]string{in64(deleted)})))},
		"work":                 {request("item", in64(lookAtKey))},
		"cmkguard-work":        {lookAtKey},
		"cmkguard-work-poison": {lookAtKey},
	}
	ctx := context.Background()
	for source, list := range bodies {
		for _, body := range list {
			g, b := keeping()
			if err := g.Poison(ctx, source, "because", []byte(body)); err != nil {
				t.Fatal(err)
			}
			id := ""
			if err := g.EachKept(ctx, func(k guard.Kept) error { id = k.ID; return nil }); err != nil {
				t.Fatal(err)
			}
			r, err := g.ReplayKept(ctx, id, "ops", takeAgain)
			if err != nil || !r.Taken {
				t.Errorf("%s: %v %+v\n%s", source, err, r, body)
				continue
			}
			ms, err := b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
			work := 0
			for _, m := range ms {
				if !strings.Contains(string(m.Body), `"kind":"tend"`) {
					work++
				}
			}
			if err != nil || work != 1 {
				t.Errorf("%s: %d messages of work: %v\n%s", source, work, err, body)
			}
		}
	}
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// TestEveryFunctionHasADoor: a function that is added is thought of here; those
// whose input holds nothing to be taken say so.
func TestEveryFunctionHasADoor(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir("../../handlers")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		seen++
		g, _ := keeping()
		if err := g.Poison(t.Context(), f.Name(), "because", []byte("junk")); err != nil {
			t.Fatal(err)
		}
		_ = g.EachKept(t.Context(), func(k guard.Kept) error {
			r, err := g.ReplayKept(t.Context(), k.ID, "ops", takeAgain)
			if err != nil || r.Taken || strings.Contains(r.Why, "no function") {
				t.Errorf("%s: %v %+v", f.Name(), err, r)
			}
			return nil
		})
	}
	if seen < 7 {
		t.Fatalf("%d functions", seen)
	}
	if err := takeAgain(t.Context(), &guard.Retake{}, "gone", nil); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"gone"`) {
		t.Fatalf("%v", err)
	}
}

// What the host's whole request holds that cannot be read is kept by itself, and the
// request is kept no more.
func TestARequestIsTakenApart(t *testing.T) {
	t.Parallel()
	g, _ := keeping()
	ctx := t.Context()
	if err := g.Poison(ctx, "keyvaultevents", "because", []byte(request("event", json.RawMessage(`[{"id":"x"},`+nearExpiry+`]`)))); err != nil {
		t.Fatal(err)
	}
	var ids []string
	list := func() {
		ids = nil
		_ = g.EachKept(ctx, func(k guard.Kept) error { ids = append(ids, k.ID); return nil })
	}
	list()
	before := ids[0]
	r, err := g.ReplayKept(ctx, before, "ops", takeAgain)
	list()
	if err != nil || !r.Taken || len(r.Left) != 1 || len(ids) != 1 || ids[0] != r.Left[0] || ids[0] == before {
		t.Fatalf("%v %+v, kept %q", err, r, ids)
	}
	if k, err := g.FindKept(ctx, ids[0]); err != nil || string(k.Body) != `{"id":"x"}` {
		t.Fatalf("%v %q", err, k.Body)
	}
}

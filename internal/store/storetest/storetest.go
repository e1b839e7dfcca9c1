// Package storetest is what every backend of the store has to do, as one test
// suite: the adapters run it, and so agree with each other on what Azure
// Storage would say.
//
// It tests through the ports alone; what one adapter promises beyond them
// (several processes, a killed one) is tested beside that adapter.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Opener makes an empty backend whose queue goes by the clock.
type Opener func(t *testing.T, now func() time.Time) store.Backend

// Run runs the whole suite on a backend that goes by the given clock.
func Run(t *testing.T, open Opener) { run(t, open, time.Minute, false) }

// RunReal runs the whole suite on a backend that has a clock of its own: where
// time has to pass, it does.
func RunReal(t *testing.T, open Opener) { run(t, open, 2*time.Second, true) }

func run(t *testing.T, open Opener, minute time.Duration, wall bool) {
	for name, test := range map[string]func(*testing.T, *kit){
		"insert only if absent":           insertIfAbsent,
		"replace only with the ETag":      replaceIfETag,
		"delete only with the ETag":       deleteIfETag,
		"a batch is all or nothing":       atomic,
		"scan order, bounds and limit":    scan,
		"values are copies":               copies,
		"bad keys are refused everywhere": badKeys,
		"limits of a batch":               batchLimits,
		"one winner per ETag":             concurrent,
		"hidden messages come back":       hidden,
		"stale receipts":                  staleReceipts,
		"limits of a queue":               queueLimits,
		"no message is lost or shared":    competing,
		"append needs the position":       appendAt,
		"reads across blocks":             readBlocks,
		"limits of a log":                 logLimits,
		"one winner per position":         appendRace,
		"agrees with a model":             model,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, open)
			k.minute, k.wall = minute, wall
			test(t, k)
		})
	}
}

type kit struct {
	store.Backend
	ctx  context.Context
	open Opener
	time time.Time
	// queue is a name that no other test uses.
	queue string
	// minute is the stretch for which messages are hidden; wall says that it
	// passes by itself.
	minute time.Duration
	wall   bool
}

// pass lets the time go on.
func (k *kit) pass(d time.Duration) {
	if k.wall {
		time.Sleep(d) // the backend's clock is nobody's to move
	}
	k.time = k.time.Add(d)
}

func newKit(t *testing.T, open Opener) *kit {
	k := &kit{ctx: t.Context(), open: open, queue: "queue-" + strings.ToLower(rand.Text()[:10]), time: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	k.Backend = open(t, func() time.Time { return k.time })
	return k
}

// want fails the test unless err is of the kind.
func want(t *testing.T, err error, kind fault.Kind, what string) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%s: %v, want %s", what, err, kind)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (k *kit) apply(t *testing.T, partition string, ops ...store.Op) []string {
	t.Helper()
	return must[[]string](t)(k.State.Apply(k.ctx, partition, ops))
}

// holds fails the test unless the row has the value; "" means no row.
func (k *kit) holds(t *testing.T, partition, key, value string) store.Row {
	t.Helper()
	r, ok, err := k.State.Get(k.ctx, partition, key)
	if err != nil || ok != (value != "") || !bytes.Equal(r.Value, []byte(value)) {
		t.Fatalf("%s/%s: %q %v %v, want %q", partition, key, r.Value, ok, err, value)
	}
	return r
}

func insert(key, value string) store.Op {
	return store.Op{Kind: store.Insert, Key: key, Value: []byte(value)}
}

func replace(key, value, etag string) store.Op {
	return store.Op{Kind: store.Replace, Key: key, Value: []byte(value), ETag: etag}
}

func remove(key, etag string) store.Op { return store.Op{Kind: store.Delete, Key: key, ETag: etag} }

func keys(rows []store.Row) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, r.Key)
	}
	return slices.Clip(out)
}

package azstore_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"crypto/rand"
	"path/filepath"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
	"cmkguard/internal/store/azstore"
	"cmkguard/internal/store/azurite"
)

var errCut = errors.New("the connection was cut")

// cutter loses answers: the request arrives and takes effect, its answer does
// not come back.
type cutter struct {
	next  http.RoundTripper
	every atomic.Int64 // 0: never
	n     atomic.Int64
}

func (c *cutter) Do(r *http.Request) (*http.Response, error) {
	// The body is read whole first: the emulator must have got all of it.
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if every := c.every.Load(); every > 0 && r.Method != http.MethodGet && r.Method != http.MethodHead && c.n.Add(1)%every == 0 {
		_ = resp.Body.Close()
		return nil, errCut
	}
	return resp, nil
}

func openCut(t *testing.T) (store.Backend, *cutter) {
	t.Helper()
	s := azurite.Start(t)
	o := s.Options("t" + strings.ToLower(rand.Text()[:12]))
	c := &cutter{next: http.DefaultTransport}
	o.Client.Transport = c
	b, err := azstore.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b, c
}

// TestLostAnswersAreUnknownAndLanded: each write once, its answer lost.
func TestLostAnswersAreUnknownAndLanded(t *testing.T) {
	t.Parallel()
	b, c := openCut(t)
	ctx := t.Context()
	if err := b.Queue.Put(ctx, "cmkguard-work", []byte("0"), 0); err != nil { // makes the queue
		t.Fatal(err)
	}
	if err := b.Log.Append(ctx, "l", 0, []byte("a")); err != nil {
		t.Fatal(err)
	}
	c.every.Store(1)
	_, err := b.State.Apply(ctx, "p", []store.Op{{Kind: store.Insert, Key: "k", Value: []byte("1")}})
	for what, err := range map[string]error{
		"Apply": err, "Append": b.Log.Append(ctx, "l", 1, []byte("b")), "Put": b.Queue.Put(ctx, "cmkguard-work", []byte("1"), 0),
	} {
		if !fault.Is(err, fault.Unknown) {
			t.Errorf("%s with its answer lost: %v, want unknown", what, err)
		}
	}
	c.every.Store(0)
	if row, ok, err := b.State.Get(ctx, "p", "k"); err != nil || !ok || string(row.Value) != "1" {
		t.Errorf("the row: %v %v %q", err, ok, row.Value)
	}
	if n, blocks, err := b.Log.Size(ctx, "l"); err != nil || n != 2 || blocks != 2 {
		t.Errorf("the log: %d bytes in %d blocks, %v", n, blocks, err)
	}
	if ms, err := b.Queue.Take(ctx, "cmkguard-work", 5, time.Minute); err != nil || len(ms) != 2 {
		t.Errorf("%d messages, %v", len(ms), err)
	}
}

// TestTheJournalSurvivesLostAnswers: every fifth write loses its answer, and
// still each entry is sealed once and the journal verifies.
func TestTheJournalSurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	b, c := openCut(t)
	ctx := t.Context()
	signer, text, err := journal.LoadOrCreateKey(filepath.Join(t.TempDir(), "key.pem"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := journal.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	rec, seal := journal.NewRecorder(b.State, "test", time.Now), journal.NewSequencer(b, signer, "test", time.Now)
	c.every.Store(5)
	sure := 0
	for i := range 40 {
		if rec.Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote, Ref: string(rune('A' + i))}}) == nil {
			sure++
		}
		_, _ = seal.Fold(ctx) // what fails is adopted by the next
	}
	c.every.Store(0)
	for range 3 {
		if _, err := seal.Fold(ctx); err != nil {
			t.Fatal(err)
		}
	}
	r, err := journal.Verify(ctx, b.Log, b.State, verifier, journal.VerifyOptions{})
	if err != nil || len(r.Problems) > 0 || r.Unsealed > 0 || int(r.Size) < sure || sure < 30 {
		t.Fatalf("%d commits were sure, %+v, %v", sure, r, err)
	}
	seen := map[string]int{}
	err = journal.Read(ctx, b.Log, 0, func(_ int64, e journal.Entry) error { seen[e.Ref]++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for ref, n := range seen {
		if n != 1 {
			t.Errorf("entry %s is sealed %d times", ref, n)
		}
	}
}

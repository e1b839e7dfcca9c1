package filestore_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
	"cmkguard/internal/store/filestore"
	"cmkguard/internal/store/storetest"
)

func open(t *testing.T, dir string, now func() time.Time) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func noon() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

func insert(key, value string) []store.Op {
	return []store.Op{{Kind: store.Insert, Key: key, Value: []byte(value)}}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Backend {
		return open(t, t.TempDir(), now).Backend()
	})
}

func TestTwoHandlesSeeEachOtherAndCount(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := open(t, dir, noon), open(t, dir, noon)
	ctx := t.Context()
	if _, err := a.Apply(ctx, "p", insert("n", "0")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, s := range []*filestore.Store{a, b, a, b} {
		wg.Go(func() {
			for done := 0; done < 20; {
				r, ok, err := s.Get(ctx, "p", "n")
				n, _ := strconv.Atoi(string(r.Value))
				if err == nil && ok {
					_, err = s.Apply(ctx, "p", []store.Op{{Kind: store.Replace, Key: "n", ETag: r.ETag, Value: []byte(strconv.Itoa(n + 1))}})
				}
				switch {
				case err == nil:
					done++
				case !fault.Is(err, fault.Conflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r, _, err := b.Get(ctx, "p", "n"); err != nil || string(r.Value) != "80" {
		t.Fatalf("%q %v, want 80: an update was lost between two handles", r.Value, err)
	}
	if err := a.Put(ctx, "q", []byte("m"), 0); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Take(ctx, "q", 1, time.Minute); err != nil || len(got) != 1 {
		t.Fatalf("%v %v, want the other handle's message", got, err)
	}
}

func TestManyOpenAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			s, err := filestore.Open(dir, noon)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Apply(t.Context(), "p", insert(fmt.Sprint("k", i), "v")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if rows, err := open(t, dir, noon).Scan(t.Context(), "p", "", "", 10); err != nil || len(rows) != 6 {
		t.Fatalf("%d rows, %v, want 6", len(rows), err)
	}
}

// TestWaitingWritesShareACommit: a write that fails its condition leaves no
// trace while its neighbours in the same transaction stay.
func TestWaitingWritesShareACommit(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), noon)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[int]int{}
	for i := range 200 {
		wg.Go(func() {
			key := i % 100 // each row has two who want it
			ops := append(insert(fmt.Sprint("mine", i), "v"), insert(fmt.Sprint("shared", key), "v")...)
			_, err := s.Apply(t.Context(), "p", ops)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won[key]++
			} else if !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	rows, err := s.Scan(t.Context(), "p", "", "", 1000)
	if err != nil || len(rows) != 200 {
		t.Fatalf("%d rows, %v, want 100 shared and 100 of the winners", len(rows), err)
	}
	for key := range 100 {
		if won[key] != 1 {
			t.Errorf("row %d has %d winners", key, won[key])
		}
	}
}

func TestAnEndedContextWritesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), noon)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Apply(ctx, "p", insert("a", "1")); !fault.Is(err, fault.Transient) {
		t.Fatalf("%v, want transient", err)
	}
	if _, ok, err := s.Get(t.Context(), "p", "a"); ok || err != nil {
		t.Fatalf("the write was answered as not done and is there (%v)", err)
	}
}

func TestWhatCannotBeUsedIsNamed(t *testing.T) {
	t.Parallel()
	junk := t.TempDir()
	if err := os.WriteFile(filepath.Join(junk, "cmkguard.db"), []byte(strings.Repeat("this is no database. ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{junk, file} {
		_, err := filestore.Open(dir, noon)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v, want an invalid fault that names %s", err, dir)
		}
	}
	_, err := filestore.Open(junk, noon)
	if err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
		t.Errorf("%v, want what mends it", err)
	}
}

func TestAfterCloseItIsTransient(t *testing.T) {
	t.Parallel()
	s, err := filestore.Open(t.TempDir(), noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), "p", insert("a", "1")); !fault.Is(err, fault.Transient) {
		t.Errorf("Apply: %v, want transient", err)
	}
	if _, _, err := s.Get(t.Context(), "p", "a"); !fault.Is(err, fault.Transient) {
		t.Errorf("Get: %v, want transient", err)
	}
}

// childDir, set, makes the test binary a process that writes until it is killed.
const childDir = "FILESTORE_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// child writes rows in pairs and says the number of each pair that was acknowledged.
func child(dir string) {
	s, err := filestore.Open(dir, noon)
	for i := 0; err == nil; i++ {
		_, err = s.Apply(context.Background(), "p", append(insert(fmt.Sprintf("a%06d", i), "v"), insert(fmt.Sprintf("b%06d", i), "v")...))
		fmt.Println(i)
	}
	fmt.Println(err)
	os.Exit(1)
}

func TestAKilledProcessLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, noon) // another process keeps it open meanwhile
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	for sc := bufio.NewScanner(out); sc.Scan(); {
		if last, err = strconv.Atoi(sc.Text()); err != nil {
			t.Fatal(sc.Text())
		}
		if last == 40 {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	as, err := s.Scan(t.Context(), "p", "a", "b", 100_000)
	if err != nil {
		t.Fatal(err)
	}
	bs, err := s.Scan(t.Context(), "p", "b", "c", 100_000)
	if err != nil || len(as) != len(bs) || len(as) <= last || last < 40 {
		t.Fatalf("%d and %d rows (%v), acknowledged up to %d: half a batch, or one lost", len(as), len(bs), err, last)
	}
	if _, err := s.Apply(t.Context(), "p", insert("after", "v")); err != nil {
		t.Fatal("the survivors cannot write:", err)
	}
}

func BenchmarkApplyParallel(b *testing.B) {
	s, err := filestore.Open(b.TempDir(), noon)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var mu sync.Mutex
	n := 0
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			key := fmt.Sprint("k", n)
			mu.Unlock()
			if _, err := s.Apply(b.Context(), "p", insert(key, "value")); err != nil {
				b.Error(err)
			}
		}
	})
}

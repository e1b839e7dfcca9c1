package storetest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

func insertIfAbsent(t *testing.T, k *kit) {
	k.holds(t, "p", "a", "")
	etag := k.apply(t, "p", insert("a", "1"))[0]
	if r := k.holds(t, "p", "a", "1"); r.ETag != etag || etag == "" || r.Partition != "p" || r.Key != "a" {
		t.Fatalf("%+v, want ETag %q", r, etag)
	}
	_, err := k.State.Apply(k.ctx, "p", []store.Op{insert("a", "2")})
	want(t, err, fault.Conflict, "inserting twice")
	k.holds(t, "p", "a", "1")
	k.apply(t, "q", insert("a", "other partition"))
	k.holds(t, "p", "a", "1")
}

func replaceIfETag(t *testing.T, k *kit) {
	_, err := k.State.Apply(k.ctx, "p", []store.Op{replace("a", "1", "1")})
	want(t, err, fault.Conflict, "replacing nothing")
	first := k.apply(t, "p", insert("a", "1"))[0]
	second := k.apply(t, "p", replace("a", "1", first))[0]
	if first == second {
		t.Fatal("the ETag stayed although the row was written")
	}
	_, err = k.State.Apply(k.ctx, "p", []store.Op{replace("a", "3", first)})
	want(t, err, fault.Conflict, "replacing with an old ETag")
	_, err = k.State.Apply(k.ctx, "p", []store.Op{replace("a", "3", "no such")})
	want(t, err, fault.Conflict, "replacing with a foreign ETag")
	k.holds(t, "p", "a", "1")
}

func deleteIfETag(t *testing.T, k *kit) {
	first := k.apply(t, "p", insert("a", "1"))[0]
	_, err := k.State.Apply(k.ctx, "p", []store.Op{remove("a", first+"0")})
	want(t, err, fault.Conflict, "deleting with a foreign ETag")
	if etags := k.apply(t, "p", remove("a", first)); etags[0] != "" {
		t.Fatalf("a deleted row has ETag %q", etags[0])
	}
	_, err = k.State.Apply(k.ctx, "p", []store.Op{remove("a", first)})
	want(t, err, fault.Conflict, "deleting twice")
	if again := k.apply(t, "p", insert("a", "2"))[0]; again == first {
		t.Fatal("a row made anew has its predecessor's ETag: an old writer would win")
	}
}

func atomic(t *testing.T, k *kit) {
	// Rows of one batch may share an ETag (it is made of the time of writing),
	// so the condition that fails is c's own past, not another row's present.
	past := k.apply(t, "p", insert("c", "0"))[0]
	k.apply(t, "p", replace("c", "3", past))
	etags := k.apply(t, "p", insert("a", "1"), insert("b", "2"))
	_, err := k.State.Apply(k.ctx, "p", []store.Op{
		insert("d", "4"), replace("a", "9", etags[0]), remove("b", etags[1]), replace("c", "9", past),
	})
	want(t, err, fault.Conflict, "one condition of four fails")
	for key, value := range map[string]string{"a": "1", "b": "2", "c": "3", "d": ""} {
		k.holds(t, "p", key, value)
	}
	next := k.apply(t, "p", insert("d", "4"), replace("a", "9", etags[0]), remove("b", etags[1]))
	for i, r := range []store.Row{k.holds(t, "p", "d", "4"), k.holds(t, "p", "a", "9"), k.holds(t, "p", "b", "")} {
		if r.ETag != next[i] {
			t.Errorf("row %q has ETag %q, Apply said %q", r.Key, r.ETag, next[i])
		}
	}
}

func scan(t *testing.T, k *kit) {
	for _, key := range []string{"b", "a", "a~1", "Z", "a.1", "a-1", "c", "a_1", "9"} {
		k.apply(t, "p", insert(key, key))
	}
	k.apply(t, "other", insert("b", "not ours"))
	for _, c := range []struct {
		from, to string
		limit    int
		want     []string
	}{
		{"", "", 100, []string{"9", "Z", "a", "a-1", "a.1", "a_1", "a~1", "b", "c"}},
		{"a", "b", 100, []string{"a", "a-1", "a.1", "a_1", "a~1"}},
		{"a", "", 2, []string{"a", "a-1"}},
		{"a-1-", "c", 2, []string{"a.1", "a_1"}},
		{"x", "", 9, []string{}},
		{"c", "a", 9, []string{}},
	} {
		rows := must[[]store.Row](t)(k.State.Scan(k.ctx, "p", c.from, c.to, c.limit))
		if d := cmp.Diff(c.want, keys(rows)); d != "" {
			t.Errorf("from %q to %q limit %d (-want +got):\n%s", c.from, c.to, c.limit, d)
		}
		for _, r := range rows {
			if string(r.Value) != r.Key || r.Partition != "p" || r.ETag == "" {
				t.Errorf("row %+v", r)
			}
		}
	}
	_, err := k.State.Scan(k.ctx, "p", "", "", 0)
	want(t, err, fault.Invalid, "a scan of nothing")
}

func copies(t *testing.T, k *kit) {
	value := []byte("mine")
	k.apply(t, "p", store.Op{Kind: store.Insert, Key: "a", Value: value})
	value[0] = 'X'
	got := k.holds(t, "p", "a", "mine")
	got.Value[0] = 'X'
	k.holds(t, "p", "a", "mine")
	k.apply(t, "p", store.Op{Kind: store.Insert, Key: "empty"})
	if r, ok, err := k.State.Get(k.ctx, "p", "empty"); err != nil || !ok || len(r.Value) != 0 {
		t.Fatalf("an empty value: %+v %v %v", r, ok, err)
	}
}

func badKeys(t *testing.T, k *kit) {
	for _, bad := range []string{"", "a/b", `a\b`, "a#", "a?", "a b", "a\n", "ä", "a\x00", "a%", strings.Repeat("a", store.MaxKeyBytes+1)} {
		_, _, err := k.State.Get(k.ctx, bad, "a")
		want(t, err, fault.Invalid, "Get partition "+bad)
		_, _, err = k.State.Get(k.ctx, "p", bad)
		want(t, err, fault.Invalid, "Get key "+bad)
		_, err = k.State.Scan(k.ctx, bad, "", "", 1)
		want(t, err, fault.Invalid, "Scan "+bad)
		_, err = k.State.Apply(k.ctx, "p", []store.Op{insert(bad, "1")})
		want(t, err, fault.Invalid, "Apply key "+bad)
		_, err = k.State.Apply(k.ctx, bad, []store.Op{insert("a", "1")})
		want(t, err, fault.Invalid, "Apply partition "+bad)
		want(t, k.Queue.Put(k.ctx, bad, []byte("1"), 0), fault.Invalid, "Put "+bad)
		want(t, k.Log.Append(k.ctx, bad, 0, []byte("1")), fault.Invalid, "Append "+bad)
		_, err = k.Log.Read(k.ctx, bad, 0, 1)
		want(t, err, fault.Invalid, "Read "+bad)
		_, _, err = k.Log.Size(k.ctx, bad)
		want(t, err, fault.Invalid, "Size "+bad)
	}
	long := strings.Repeat("a", store.MaxKeyBytes)
	k.apply(t, long, insert(long, "the longest that fits"))
}

func batchLimits(t *testing.T, k *kit) {
	many := make([]store.Op, store.MaxBatchOps+1)
	for i := range many {
		many[i] = insert(fmt.Sprintf("k%03d", i), "1")
	}
	big := bytes.Repeat([]byte("x"), store.MaxValueBytes)
	var heavy []store.Op
	for i := range store.MaxBatchBytes/store.MaxValueBytes + 1 {
		heavy = append(heavy, store.Op{Kind: store.Insert, Key: fmt.Sprint("h", i), Value: big})
	}
	for name, ops := range map[string][]store.Op{
		"no operation":        {},
		"101 operations":      many,
		"too many bytes":      heavy,
		"a value too large":   {{Kind: store.Insert, Key: "v", Value: append(big, 'x')}},
		"one row twice":       {insert("a", "1"), insert("a", "2")},
		"no kind":             {{Key: "a"}},
		"replace without tag": {replace("a", "1", "")},
		"delete without tag":  {remove("a", "")},
	} {
		_, err := k.State.Apply(k.ctx, "p", ops)
		want(t, err, fault.Invalid, name)
	}
	if rows := must[[]store.Row](t)(k.State.Scan(k.ctx, "p", "", "", 10)); len(rows) != 0 {
		t.Fatalf("refused batches left %v", keys(rows))
	}
	k.apply(t, "p", many[1:]...)
	k.apply(t, "p", heavy[1:]...)
}

// concurrent counts with compare-and-swap: a lost update shows in the sum.
func concurrent(t *testing.T, k *kit) {
	k.apply(t, "p", insert("n", "0"))
	const workers, rounds = 8, 12
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < rounds; {
				r, _, err := k.State.Get(k.ctx, "p", "n")
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(r.Value))
				_, err = k.State.Apply(k.ctx, "p", []store.Op{replace("n", fmt.Sprint(n+1), r.ETag)})
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
	k.holds(t, "p", "n", fmt.Sprint(workers*rounds))
}

package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// maxProblems bounds what is named of one kind: a log full of rubbish is one
// finding, not a million.
const maxProblems = 100

// resync is how far the search goes for where entries and leaves agree again.
const resync = 64

// leaves are the leaf hashes that the hash log holds, in order.
func leaves(hashes []byte) []tlog.Hash {
	var out []tlog.Hash
	for i := int64(0); ; i++ {
		at := tlog.StoredHashIndex(0, i) * tlog.HashSize
		if at+tlog.HashSize > int64(len(hashes)) {
			return out
		}
		out = append(out, tlog.Hash(hashes[at:at+tlog.HashSize]))
	}
}

// checkLeaves walks along the entries and the leaves that were stored when
// they were sealed, and names what was changed, removed, inserted or moved.
// Entries after the last leaf are unsealed.
func checkLeaves(r *Report, lines [][]byte, hashes []byte) {
	want := leaves(hashes)
	got := make([]tlog.Hash, len(lines))
	for i, l := range lines {
		got[i] = tlog.RecordHash(l)
	}
	i, j := 0, 0
	for i < len(got) && j < len(want) && len(r.Problems) < maxProblems {
		if got[i] == want[j] {
			i, j = i+1, j+1
			continue
		}
		di, dj, what := step(got[i:], want[j:])
		for n := range di {
			r.problem(int64(j+min(n, dj)), "entry %d (%s) %s", j+min(n, dj), describe(lines[i+n]), what)
		}
		for n := range dj - di {
			r.problem(int64(j+n), "entry %d was removed: it stood before %s", j+n, describe(lines[i]))
		}
		i, j = i+di, j+dj
	}
	if i == len(got) && j < len(want) {
		r.problem(int64(j), "entries %d to %d: cut off the end", j, len(want)-1)
	}
}

// step says what happened where entries and leaves part, and how many of each
// it spans.
func step(got, want []tlog.Hash) (di, dj int, what string) {
	if len(got) > 1 && len(want) > 1 && got[0] == want[1] && got[1] == want[0] {
		return 2, 2, "changed places with its neighbour"
	}
	if len(got) > 1 && len(want) > 1 && got[1] == want[1] {
		return 1, 1, "was changed"
	}
	for n := 1; n < resync; n++ {
		if n < len(want) && got[0] == want[n] {
			return 0, n, "removed"
		}
		if n < len(got) && got[n] == want[0] {
			return n, 0, "was inserted"
		}
	}
	return 1, 1, "was changed"
}

// checkStored compares the hashes between leaves and root with those of the
// entries; a leaf that differs is named as its entry.
func checkStored(r *Report, t *tree, hashes []byte) {
	if len(hashes)%tlog.HashSize != 0 {
		r.problem(-1, "the hash log has %d bytes, which is no whole number of hashes", len(hashes))
	}
	if len(r.Problems) > 0 {
		return // the entries differ, and with them all that is above them
	}
	for i := range min(len(t.stored), len(hashes)/tlog.HashSize) {
		if !bytes.Equal(t.stored[i][:], hashes[i*tlog.HashSize:(i+1)*tlog.HashSize]) {
			r.problem(-1, "stored hash %d was changed; the entries themselves fit", i)
			return
		}
	}
	if n := len(hashes)/tlog.HashSize - len(t.stored); n > 0 {
		r.problem(r.Size, "%d stored hashes are left over: entries were cut off the end", n)
	}
}

// describe names an entry for people: what, when, about what.
func describe(line []byte) string {
	var e Entry
	if json.Unmarshal(line, &e) != nil {
		return "no longer readable"
	}
	return fmt.Sprintf("%s %s %s, number %d of %s", e.Kind, e.Time.UTC().Format(time.RFC3339), e.Ref, e.Seq, e.Partition)
}

package journal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"cmkguard/internal/canonical"
)

// checkNotes verifies every checkpoint and returns the largest good size.
func checkNotes(r *Report, notes []byte, t *tree, v note.Verifier) int64 {
	var good int64
	for i, line := range splitLines(notes) {
		cp, err := openNote(line, v)
		if err != nil {
			r.problem(-1, "checkpoint %d: %v", i, err)
			continue
		}
		r.Checkpoints++
		if cp.Size < good {
			r.problem(-1, "checkpoint %d goes back from %d to %d entries", i, good, cp.Size)
			continue
		}
		if err := fits(cp, t, r.Size); err != nil {
			r.problem(-1, "entries %d to %d: checkpoint %d: %v", good, cp.Size-1, i, err)
			continue
		}
		good = cp.Size
	}
	if len(notes) > 0 && notes[len(notes)-1] != '\n' {
		r.problem(-1, "the last checkpoint line has no end")
	}
	return good
}

func fits(cp Checkpoint, t *tree, size int64) error {
	if cp.Size > size {
		return fmt.Errorf("it covers %d entries, the log has %d: entries were removed", cp.Size, size)
	}
	root, err := tlog.TreeHash(cp.Size, t)
	if err != nil {
		return err
	}
	if root != cp.Root {
		return fmt.Errorf("its root %s is not the entries' %s", cp.Root, root)
	}
	return nil
}

// openNote verifies one line. The line must be byte for byte what we write:
// JSON and base64 have several spellings of one value, and any other than ours
// was changed.
func openNote(line []byte, v note.Verifier) (Checkpoint, error) {
	var nl noteLine
	if err := json.Unmarshal(line, &nl); err != nil {
		return Checkpoint{}, fmt.Errorf("not readable: %w", err)
	}
	if again, err := canonical.JSON(nl); err != nil || !bytes.Equal(again, line) {
		return Checkpoint{}, fmt.Errorf("its line was changed")
	}
	return verifyNote([]byte(nl.Note), v)
}

func verifyNote(text []byte, v note.Verifier) (Checkpoint, error) {
	if _, err := note.Open(text, note.VerifierList(v)); err != nil {
		return Checkpoint{}, fmt.Errorf("signature: %w", err)
	}
	last := strings.TrimSuffix(string(text), "\n")
	sig := last[strings.LastIndexByte(last, ' ')+1:]
	if _, err := base64.StdEncoding.Strict().DecodeString(sig); err != nil {
		return Checkpoint{}, fmt.Errorf("signature: %w", err)
	}
	cp := parseCheckpoint(string(text))
	if cp.Note == nil {
		return Checkpoint{}, fmt.Errorf("it is not a checkpoint of this journal")
	}
	return cp, nil
}

func checkKnown(r *Report, known []byte, t *tree, v note.Verifier) {
	cp, err := verifyNote(known, v)
	if err != nil {
		r.problem(-1, "the checkpoint that you kept: %v", err)
		return
	}
	if err := fits(cp, t, r.Size); err != nil {
		r.problem(min(cp.Size, r.Size), "the checkpoint that you kept: %v", err)
	}
}

// parseCheckpoint reads size and root of our own note; the zero Checkpoint if
// there is none.
func parseCheckpoint(text string) Checkpoint {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] != origin {
		return Checkpoint{}
	}
	var size int64
	if _, err := fmt.Sscanf(lines[1], "%d", &size); err != nil || fmt.Sprint(size) != lines[1] {
		return Checkpoint{}
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}
	}
	return Checkpoint{Size: size, Root: root, Note: []byte(text)}
}

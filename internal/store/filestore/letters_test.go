package filestore_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store/filestore"
	"cmkguard/internal/store/storetest"
)

func TestLetters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	storetest.Letters(t, filestore.OpenLetters(dir), func(name string, body []byte) {
		file := filepath.Join(dir, filestore.LettersDir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
		// The file system's own times may be too coarse to tell two writes apart.
		at := time.Date(2026, 11, 1, 0, 0, len(body)%60, 0, time.UTC)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	})
}

// Nothing outside of the folder is read or deleted, whatever a letter is called or
// links to, and nobody's half-written file is taken.
func TestLettersStayInTheirFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := filepath.Join(dir, filestore.LettersDir)
	must(t, os.MkdirAll(filepath.Join(in, ".half"), 0o700))
	secret := filepath.Join(dir, "secret.json")
	for _, file := range []string{secret, filepath.Join(in, ".writing.json"), filepath.Join(in, ".half", "x.json")} {
		must(t, os.WriteFile(file, []byte("[]"), 0o600))
	}
	must(t, os.Symlink(secret, filepath.Join(in, "link.json")))
	must(t, os.Symlink(dir, filepath.Join(in, "up")))
	l := filestore.OpenLetters(dir)
	if got := storetest.LetterNames(t, l); len(got) != 0 {
		t.Errorf("listed %q", got)
	}
	for _, name := range []string{"../secret.json", secret, "link.json", "up/secret.json", "", ".", ".half"} {
		if raw, _, err := l.Get(t.Context(), name); !fault.Is(err, fault.Conflict) {
			t.Errorf("%q gave %q, %v", name, raw, err)
		}
	}
	if _, err := os.Stat(secret); err != nil {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

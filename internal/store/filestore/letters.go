package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// LettersDir is the folder beside the embedded store in which a file stands for a
// dead letter: what Event Grid would leave in a storage account's container.
const LettersDir = "deadletter"

// Letters is a folder of dead letters. Nothing outside of it is reached, by
// whichever name or link; it need not be there.
type Letters struct{ dir string }

// OpenLetters returns the folder beside the embedded store in dir.
func OpenLetters(dir string) Letters { return Letters{filepath.Join(dir, LettersDir)} }

// Each calls fn for every letter in the order of their names until it says stop.
// Files whose names begin with a dot are somebody's who is still writing.
func (l Letters) Each(ctx context.Context, fn func(store.Letter) (more bool, err error)) error {
	const op = "filestore.Letters"
	root, err := os.OpenRoot(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.Wrap(fault.Denied, op, err)
	}
	defer func() { _ = root.Close() }()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		hidden := name != "." && strings.HasPrefix(path.Base(name), ".")
		switch {
		case hidden && d.IsDir():
			return fs.SkipDir
		case hidden, !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // taken away since it was listed
		}
		if err != nil {
			return err
		}
		more, err := fn(letterOf(name, info))
		if err == nil && !more {
			err = fs.SkipAll
		}
		return err
	})
	if fault.KindOf(err) == fault.Unknown {
		return fault.Wrap(fault.Denied, op, err)
	}
	return err
}

func letterOf(name string, info fs.FileInfo) store.Letter {
	etag := fmt.Sprintf("%d-%d", info.ModTime().UnixNano(), info.Size())
	return store.Letter{Name: name, Size: info.Size(), Written: info.ModTime().UTC(), ETag: etag}
}

// Get returns a letter's bytes, MaxLetterBytes of them at most, and the letter as
// it was then. One that is not there is a Conflict.
func (l Letters) Get(_ context.Context, name string) ([]byte, store.Letter, error) {
	const op = "filestore.GetLetter"
	gone := fault.New(fault.Conflict, op, "there is no dead letter %q", name)
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return nil, store.Letter{}, gone
	}
	defer func() { _ = root.Close() }()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, store.Letter{}, gone
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, store.Letter{}, gone
	}
	raw, err := io.ReadAll(io.LimitReader(f, store.MaxLetterBytes))
	return raw, letterOf(name, info), fault.Wrap(fault.Transient, op, err)
}

// Delete deletes a letter as it was read; one that is gone is fine, one that was
// written anew is a Conflict.
func (l Letters) Delete(ctx context.Context, one store.Letter) error {
	const op = "filestore.DeleteLetter"
	_, now, err := l.Get(ctx, one.Name)
	switch {
	case fault.Is(err, fault.Conflict):
		return nil
	case err != nil:
		return err
	case now.ETag != one.ETag:
		return fault.New(fault.Conflict, op, "dead letter %q was written anew", one.Name)
	}
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return fault.Wrap(fault.Denied, op, err)
	}
	defer func() { _ = root.Close() }()
	if err := root.Remove(filepath.FromSlash(one.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Denied, op, "%w: give the process the right to write in %s", err, l.dir)
	}
	return nil
}

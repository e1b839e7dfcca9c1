package app

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// progress is one line on a terminal, rewritten; anywhere else it is nothing.
type progress struct {
	w        io.Writer
	at, all  int
	terminal bool
}

func newProgress(w io.Writer) *progress {
	b := &progress{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

func (b *progress) step(n, all int) {
	b.at, b.all = b.at+n, all
	if b.terminal {
		const width = 30
		done := min(width, width*b.at/max(1, b.all))
		_, _ = fmt.Fprintf(b.w, "\r[%s%s] %d of %d clusters", strings.Repeat("#", done), strings.Repeat(".", width-done), b.at, b.all)
	}
}

func (b *progress) done() {
	if b.terminal {
		_, _ = fmt.Fprint(b.w, "\r\x1b[K")
	}
}

// Package console prints alerts. Under the Functions host the console is the
// host's log, so what is printed there is delivered to it and nowhere else.
package console

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

// Channel prints to a writer.
type Channel struct {
	w      io.Writer
	colour bool
	now    func() time.Time
	mu     sync.Mutex
}

var _ alert.Channel = (*Channel)(nil)

// New returns a Channel; colour only for a terminal.
func New(w io.Writer, colour bool, now func() time.Time) *Channel {
	return &Channel{w: w, colour: colour, now: now}
}

// Send implements alert.Channel; there is no provider's id but the alert's own.
func (c *Channel) Send(_ context.Context, a alert.Alert) (string, error) {
	text := alert.Render(a, c.now())
	if c.colour {
		head, rest, _ := strings.Cut(text, "\n")
		text = sgr(a) + head + "\x1b[0m\n" + rest
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := io.WriteString(c.w, text); err != nil {
		return "", fault.Wrap(fault.Transient, "console.Send", err)
	}
	return a.ID, nil
}

func sgr(a alert.Alert) string {
	switch {
	case a.Lifecycle == alert.Resolve:
		return "\x1b[1;32m"
	case a.Severity.Rank() >= risk.High.Rank():
		return "\x1b[1;31m"
	case a.Severity == risk.Medium:
		return "\x1b[1;33m"
	}
	return "\x1b[1;36m"
}

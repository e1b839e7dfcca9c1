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
)

// Channel prints to a writer. It is safe for concurrent use.
type Channel struct {
	w      io.Writer
	colour bool
	now    func() time.Time
	mu     sync.Mutex
}

var _ alert.Channel = (*Channel)(nil)

// New returns a Channel. colour is for terminals only; whoever calls decides,
// and honours NO_COLOR.
func New(w io.Writer, colour bool, now func() time.Time) *Channel {
	return &Channel{w: w, colour: colour, now: now}
}

// Send implements alert.Channel with one write; there is no provider's id but the alert's own.
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

// sgr is the terminal's code for the alert's head. The severity stands there in
// words too: colour is never the only carrier.
func sgr(a alert.Alert) string {
	if a.Lifecycle == alert.Resolve {
		return "\x1b[1;32m"
	}
	switch a.Severity {
	case "critical", "high":
		return "\x1b[1;31m"
	case "medium":
		return "\x1b[1;33m"
	case "low", "info":
	}
	return "\x1b[1;36m"
}

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
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/fault"
)

// Channel prints to a writer. It is safe for concurrent use.
type Channel struct {
	words  templates.Set
	w      io.Writer
	colour bool
	now    func() time.Time
	mu     sync.Mutex
}

var (
	_ alert.Channel  = (*Channel)(nil)
	_ alert.Renderer = (*Channel)(nil)
)

// New returns a Channel. colour is for terminals only; whoever calls decides,
// and honours NO_COLOR.
func New(w io.Writer, colour bool, now func() time.Time) *Channel {
	return &Channel{w: w, colour: colour, now: now}
}

// Send implements alert.Channel with one write; there is no provider's id but the alert's own.
func (c *Channel) Send(_ context.Context, a alert.Alert) (string, error) {
	text := c.text(a)
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

func (c *Channel) text(a alert.Alert) string {
	made, a := c.words.Render(a, c.now())
	if s, ok := made["text"]; ok {
		return strings.TrimSpace(s) + "\n"
	}
	return alert.Render(a, c.now())
}

// With returns a channel on the same writer with templates of the policy.
func (c *Channel) With(words templates.Set) *Channel {
	return &Channel{words: words, w: c.w, colour: c.colour, now: c.now}
}

// Render implements alert.Renderer.
func (c *Channel) Render(a alert.Alert) (alert.Rendered, error) {
	text := c.text(a)
	return alert.Rendered{Media: "text/plain", Body: []byte(text), Text: text}, nil
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

package funchost

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"cmkguard/internal/fault"
)

// maxLogged bounds texts that others made (an id, an error) in the log line.
const maxLogged = 1 << 10

// line is the one wide log line of an invocation, filled while it runs.
type line struct {
	inv   *Invocation
	log   zerolog.Logger
	start time.Time

	mu     sync.Mutex // handlers may add fields from goroutines of the SDK
	fields map[string]any
}

type lineKey struct{}

func (s *Server) begin(r *http.Request) *line {
	inv := &Invocation{
		Function:    function(r),
		ID:          clip(r.Header.Get("X-Azure-Functions-InvocationId")),
		TraceParent: clip(r.Header.Get("traceparent")),
	}
	if inv.ID == "" {
		inv.ID = "unnamed-" + strconv.FormatUint(s.unnamed.Add(1), 10)
	}
	c := s.log.With().Str("invocation", inv.ID).Str("function", clip(inv.Function))
	if inv.TraceParent != "" {
		c = c.Str("traceparent", inv.TraceParent)
	}
	return &line{inv: inv, log: c.Logger(), start: s.now(), fields: make(map[string]any)}
}

func (l *line) context(ctx context.Context) context.Context {
	return context.WithValue(l.log.WithContext(ctx), lineKey{}, l)
}

// Field adds a field to the invocation's log line; the last value of a key
// wins. Never give it a body, a token or an HTTP envelope. Outside of an
// invocation it does nothing.
func Field(ctx context.Context, key string, value any) {
	l, ok := ctx.Value(lineKey{}).(*line)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fields[key] = value
}

// end writes the line. Lines go to stdout with their level inside: the host
// shows everything on stderr as an error.
func (l *line) end(now time.Time, res result, sent error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.log.WithLevel(level(res))
	e.Dur("duration_ms", now.Sub(l.start)).Int("status", res.status).Str("outcome", res.outcome)
	if res.err != nil {
		e.Str("kind", fault.KindOf(res.err).String()).Str("error", clip(res.err.Error()))
		if code := fault.CodeOf(res.err); code != "" {
			e.Str("code", clip(code))
		}
	}
	if res.stack != nil {
		e.Bytes("stack", res.stack)
	}
	if sent != nil {
		e.Str("answer_lost", clip(sent.Error()))
	}
	if len(l.fields) > 0 {
		e.Fields(l.fields)
	}
	e.Msg("invocation")
}

func level(res result) zerolog.Level {
	switch res.outcome {
	case "ok":
		return zerolog.InfoLevel
	case "handled", "refused":
		return zerolog.WarnLevel
	}
	return zerolog.ErrorLevel
}

func clip(s string) string {
	if len(s) <= maxLogged {
		return s
	}
	return strings.ToValidUTF8(s[:maxLogged], "") + "..."
}

package console_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/console"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

func TestConformance(t *testing.T) {
	t.Parallel()
	alerttest.Conform(t, alerttest.Kit{
		Serve: func(t *testing.T, _ alerttest.Mood) (string, func() []alerttest.Call) {
			path := filepath.Join(t.TempDir(), "console")
			return path, func() (out []alerttest.Call) {
				raw, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				for _, text := range strings.SplitAfter(string(raw), "\f") {
					if text != "" {
						out = append(out, alerttest.Call{Body: []byte(strings.TrimSuffix(text, "\f")), Taken: true})
					}
				}
				return out
			}
		},
		Open: func(path string) (alert.Channel, error) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			return console.New(pages{f}, false, start), err
		},
		Moods: []alerttest.Mood{}, // there is nobody to have one
		Seen:  func(body []byte) string { return string(body) },
	})
}

// pages ends each write with a form feed.
type pages struct{ w io.Writer }

func (p pages) Write(b []byte) (int, error) {
	_, err := p.w.Write(append(append([]byte{}, b...), '\f'))
	return len(b), err
}

func TestPlainIsTheRendering(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	a := alerttest.Sample("a-1", start())
	if id, err := console.New(&b, false, start).Send(context.Background(), a); id != "a-1" || err != nil {
		t.Fatalf("%q %v", id, err)
	}
	if b.String() != alert.Render(a, start()) {
		t.Errorf("%q", b.String())
	}
}

func TestColourIsOnTheHeadAloneAndNeverFromTheAlert(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		severity  risk.Severity
		lifecycle alert.Lifecycle
		code      string
	}{
		{risk.Critical, alert.Trigger, "1;31"}, {risk.High, alert.Update, "1;31"}, {risk.Medium, alert.Trigger, "1;33"},
		{risk.Info, alert.Notice, "1;36"},
	} {
		var b strings.Builder
		a := alerttest.Sample("a-1", start())
		a.Severity, a.Lifecycle, a.Impact[0].Name = c.severity, c.lifecycle, "\x1b[2Jgone"
		if _, err := console.New(&b, true, start).Send(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		head, rest, _ := strings.Cut(b.String(), "\n")
		if !strings.HasPrefix(head, "\x1b["+c.code+"m"+strings.ToUpper(string(c.severity))) || !strings.HasSuffix(head, "\x1b[0m") {
			t.Errorf("head %q", head)
		}
		if strings.Contains(rest, "\x1b") {
			t.Errorf("an escape outside the head: %q", rest)
		}
	}
}

func TestWhatIsOverIsGreenAndSaysSo(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	a := alerttest.Sample("a-1", start())
	a.Lifecycle, a.Title = alert.Resolve, alert.Fixed+a.Title
	if _, err := console.New(&b, true, start).Send(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "\x1b[1;32mRESOLVED (was CRITICAL) Broken: ") {
		t.Errorf("%q", b.String())
	}
}

// broken is a terminal that went away.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestAWriterThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	if _, err := console.New(broken{}, false, start).Send(context.Background(), alert.Alert{}); !fault.Is(err, fault.Transient) {
		t.Errorf("%v", err)
	}
}

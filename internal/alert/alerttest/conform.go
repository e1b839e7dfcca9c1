package alerttest

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/fault"
)

// Kit is a channel under the conformance test.
type Kit struct {
	// Open makes the channel to the receiver at url.
	Open func(url string) (alert.Channel, error)
	// Fake is the receiver of a channel over HTTP. Serve is that of any other: where it
	// is, and what it took and refused so far. It ends with the test.
	Fake  Provider
	Serve func(t *testing.T, mood Mood) (url string, seen func() []Call)
	// Moods are those that the receiver has; nil: all.
	Moods []Mood
	// Seen is what a person reads of a body that was taken.
	Seen func(body []byte) string
	// Colour is how a body says its severity beside the word; nil where the receiver
	// has nothing but words.
	Colour func(body []byte) string
	// Mute reports whether the receiver has no message for the alert: nothing is sent.
	// nil: it has one for each.
	Mute func(a alert.Alert) bool
	// Opens reports whether a call opens a record, at a receiver that is asked by GET what
	// it has: one of a problem, however often it is sent. nil: nothing is asked.
	Opens func(c Call) bool
	// Secrets must be in no error.
	Secrets []string
}

func (k Kit) listen(t *testing.T, mood Mood) (url string, seen func() []Call) {
	t.Helper()
	if k.Serve != nil {
		return k.Serve(t, mood)
	}
	r := Listen(t, k.Fake, mood)
	return r.URL, r.Calls
}

// Conform holds what every channel over HTTP must do, whoever receives it.
func Conform(t *testing.T, k Kit) {
	t.Helper()
	if k.Serve == nil {
		t.Run("statuses", func(t *testing.T) { t.Parallel(); k.statuses(t) })
	}
	t.Run("moods", func(t *testing.T) { t.Parallel(); k.moods(t) })
	t.Run("messages", func(t *testing.T) { t.Parallel(); k.messages(t) })
	t.Run("hostile", func(t *testing.T) { t.Parallel(); k.hostile(t) })
	t.Run("banners", func(t *testing.T) { t.Parallel(); k.banners(t) })
	t.Run("twice", func(t *testing.T) { t.Parallel(); k.twice(t) })
}

// deadline is that of one sending in tests: longer than anything but a receiver
// that hangs needs.
const deadline = 5 * time.Second

func at() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

func (k Kit) send(t *testing.T, url string, a alert.Alert, within time.Duration) (string, error) {
	t.Helper()
	c, err := k.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	id, err := c.Send(ctx, a)
	k.noSecret(t, url, err)
	if err == nil && ctx.Err() != nil {
		t.Errorf("sent only at the deadline: %v", ctx.Err())
	}
	return id, err
}

// noSecret: errors go into logs, rows and the journal.
func (k Kit) noSecret(t *testing.T, url string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, s := range append([]string{url + "/"}, k.Secrets...) {
		if strings.Contains(err.Error(), s) {
			t.Errorf("the error shows %q: %v", s, err)
		}
	}
}

// statuses: a receiver that answers with each status, whatever it is asked.
func (k Kit) statuses(t *testing.T) {
	StatusTable(t, func(t *testing.T, h http.HandlerFunc) error {
		p := k.Fake
		real := p.Refuse
		var status int
		p.Refuse = func(r *http.Request, body []byte) *Refusal {
			rec := &recorder{header: http.Header{}}
			h(rec, r)
			if status = rec.status; status == http.StatusOK {
				return real(r, body)
			}
			return no(status, "status", "no")
		}
		p.Refusal = func(w http.ResponseWriter, status int, _, _ string) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
		}
		_, err := k.send(t, Listen(t, p, Right).URL, Sample("a-1", at()), deadline)
		return err
	})
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) WriteHeader(status int)      { r.status = status }

// moods: whatever the receiver does, an alert is given up only where sending it again
// cannot help, and then at once.
func (k Kit) moods(t *testing.T) {
	for mood, want := range map[Mood][]verdict{
		Busy: {again}, BusyMute: {again}, Hung: {again}, Cut: {again},
		Elsewhere: {givenUp, again}, // never followed: see what each kit's receiver took
		Prose:     {again, delivered},
		Endless:   {again, delivered},
	} {
		if k.Moods != nil && !slices.Contains(k.Moods, mood) {
			continue
		}
		t.Run(string(mood), func(t *testing.T) {
			t.Parallel()
			within := deadline
			if mood == Hung {
				within = 100 * time.Millisecond
			}
			url, _ := k.listen(t, mood)
			id, err := k.send(t, url, Sample("a-1", at()), within)
			if got := judge(err); !slices.Contains(want, got) || err == nil && id == "" {
				t.Errorf("%s with id %q, want %v: %v", got, id, want, err)
			}
			if rate := mood == Busy || mood == BusyMute; rate && k.Serve == nil && fault.CodeOf(err) != alert.CodeRate {
				t.Errorf("it is not said to be throttled: %v", err)
			}
			asked := map[Mood]time.Duration{Busy: 7 * time.Second}[mood]
			if k.Serve == nil && fault.RetryAfter(err) != asked {
				t.Errorf("a delay of %s, want %s", fault.RetryAfter(err), asked)
			}
			if k.Serve == nil && (mood == Cut || mood == Hung) && fault.KindOf(err) != fault.Unknown {
				t.Errorf("it may have arrived, and is %s", fault.KindOf(err))
			}
		})
	}
	if k.Serve != nil {
		return
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		if _, err := k.send(t, "http://127.0.0.1:1", Sample("a-1", at()), deadline); judge(err) != again {
			t.Errorf("%s: %v", judge(err), err)
		}
	})
}

// taken sends the alert to a receiver that is right and returns the bodies.
func (k Kit) taken(t *testing.T, a alert.Alert) [][]byte {
	t.Helper()
	url, seen := k.listen(t, Right)
	id, err := k.send(t, url, a, deadline)
	if err != nil || id == "" {
		t.Errorf("%s: id %q, %v", a.ID, id, err)
	}
	var out [][]byte
	for _, c := range seen() {
		if !c.Taken {
			t.Errorf("%s: refused: %s %s %.500s", a.ID, c.Method, c.Path, c.Body)
		}
		if c.Method != http.MethodGet {
			out = append(out, c.Body)
		}
	}
	if mute := len(out) == 0; mute != k.mute(a) {
		t.Errorf("%s (%s): %d requests", a.ID, a.Lifecycle, len(out))
	}
	return out
}

func (k Kit) mute(a alert.Alert) bool { return k.Mute != nil && k.Mute(a) }

// messages: every kind of message that the product sends, the smallest and the
// largest, keeps to what the provider documents, and shows its severity and title.
func (k Kit) messages(t *testing.T) {
	all := examples.All(at())
	all = append(all, examples.Example{Name: "small", Alert: examples.Small(at())}, examples.Example{Name: "huge", Alert: examples.Huge(at())})
	for _, e := range all {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			for _, body := range k.taken(t, e.Alert) {
				k.shows(t, e.Alert, k.Seen(body))
			}
		})
	}
	k.colours(t)
}

func (k Kit) shows(t *testing.T, a alert.Alert, seen string) {
	t.Helper()
	word := alert.SeverityWord(a)
	title := strings.TrimPrefix(a.Title, alert.Fixed)
	if len(title) > 40 {
		title = title[:40]
	}
	if a.ID == "huge" {
		title = "" // escaped and cut
	}
	if !strings.Contains(strings.ToUpper(seen), word) || !strings.Contains(seen, title) {
		t.Errorf("%s does not show %s %q:\n%.1500s", a.ID, word, title, seen)
	}
	if a.Lifecycle == alert.Resolve && !strings.Contains(strings.ToUpper(seen), "RESOLVED") {
		t.Errorf("%s does not say that it is over:\n%.500s", a.ID, seen)
	}
}

// colours: a severity is told by more than a word where the receiver can.
func (k Kit) colours(t *testing.T) {
	if k.Colour == nil {
		return
	}
	seen := map[string]string{}
	for _, name := range []string{"key-deleted", "near-expiry", "resolved"} {
		e, _ := examples.Find(name, at())
		for _, body := range k.taken(t, e.Alert) {
			seen[k.Colour(body)] = name
		}
	}
	if len(seen) != 3 || seen[""] != "" {
		t.Errorf("critical, medium and resolved are told by %v", seen)
	}
}

// hostile: names that are markup, commands, templates or headers stay names.
func (k Kit) hostile(t *testing.T) {
	bad := examples.Hostile()
	a := Sample("hostile", at())
	a.Title, a.What, a.Breaks, a.Subject, a.Ref, a.Actor, a.Vault, a.Check = bad, bad, bad, bad, bad, bad, bad, "CMK-050"
	a.Done, a.Next, a.Impact = []string{bad}, []string{bad}, []alert.Impact{{Cluster: bad, Name: bad, Owner: bad, Tags: map[string]string{bad: bad}}}
	a.DedupKey, a.GroupKey, a.Links = bad, bad, []alert.Link{{Label: bad, URL: "javascript://x.example/%0aalert(1)"}}
	for _, body := range k.taken(t, alert.Fit(a)) {
		if bytes.ContainsAny(body, "\x1b\x00") || bytes.Contains(body, []byte("\u202e")) {
			t.Errorf("a control character came through: %.300q", body)
		}
		if bytes.Contains(body, []byte(`"javascript:`)) {
			t.Errorf("a link that runs came through: %.300q", body)
		}
	}
}

// banners are seen in every message, alone and together.
func (k Kit) banners(t *testing.T) {
	for name, set := range map[string]func(*alert.Alert){
		"[TEST]": func(a *alert.Alert) { a.Test = true }, "[DRILL]": func(a *alert.Alert) { a.Drill = true },
		"[DRY RUN]": func(a *alert.Alert) { a.DryRun = true }, "[UNRECORDED]": func(a *alert.Alert) { a.Unrecorded = true },
	} {
		for _, e := range []string{"key-deleted", "resolved", "rotation-done"} {
			x, _ := examples.Find(e, at())
			set(&x.Alert)
			for _, body := range k.taken(t, x.Alert) {
				if seen := k.Seen(body); !strings.Contains(seen, name) {
					t.Errorf("%s is not seen in %s:\n%.500s", name, e, seen)
				}
			}
		}
	}
}

// twice: a second attempt is recognisably the same message.
func (k Kit) twice(t *testing.T) {
	url, seen := k.listen(t, Right)
	var ids []string
	for range 2 {
		id, err := k.send(t, url, Sample("a-1", at()), deadline)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	calls := seen()
	if k.Opens != nil {
		k.once(t, calls)
		return
	}
	half := len(calls) / 2
	for i := range half {
		if !bytes.Equal(calls[i].Body, calls[half+i].Body) || calls[i].Path != calls[half+i].Path {
			t.Errorf("the second attempt is another message:\n%.400s\n%.400s", calls[i].Body, calls[half+i].Body)
		}
	}
	if len(calls) == 0 || ids[0] == "" || len(ids[0]) != len(ids[1]) {
		t.Errorf("%d calls, ids %v", len(calls), ids)
	}
}

// once: of two sendings one opens something, and the other adds to it.
func (k Kit) once(t *testing.T, calls []Call) {
	t.Helper()
	opened := 0
	for _, c := range calls {
		if c.Method != http.MethodGet && k.Opens(c) {
			opened++
		}
	}
	if opened > 1 || calls[0].Method != http.MethodGet {
		t.Errorf("%d of %d calls open something", opened, len(calls))
	}
}

package guard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

func letterRow(state string, l store.Letter) string {
	return store.Name(state, l.Name+"\x00"+l.ETag)
}

// settleLetters records the letters that were taken in, and deletes them. One alert
// tells of all of them, with the first that was not recorded before: a crash in
// between has it told once.
func (g *Guard) settleLetters(ctx context.Context, taken []DeadLetter) error {
	var tell []store.Op
	if len(taken) > 0 {
		tell = g.outbox(g.lettersAlert(taken))
	}
	for _, d := range taken {
		fresh, err := g.settleLetter(ctx, d, "", tell)
		if err != nil {
			return err
		}
		if fresh {
			tell = nil
		}
	}
	return nil
}

// settleLetter records one letter and deletes it. fresh is false if it was recorded
// before, by a sweep that came no further or another that is beside this one.
func (g *Guard) settleLetter(ctx context.Context, d DeadLetter, by string, with []store.Op) (fresh bool, err error) {
	text := fmt.Sprintf("dead letter %s taken in%s: %s, %d of them new; %s", d.Name, by, events(d.Signals), d.late, whyGivenUp(d))
	mark := letterRow("taken", d.Letter)
	err = g.recordLetter(ctx, d, text, append([]store.Op{{Kind: store.Insert, Key: mark}}, with...))
	fresh = err == nil
	if err != nil && !fault.Is(err, fault.Conflict) {
		return false, err
	}
	if err := g.deleteLetter(ctx, d); err != nil {
		return fresh, err
	}
	return fresh, asRecordError(g.dropMark(ctx, lettersPartition, mark))
}

func (g *Guard) recordLetter(ctx context.Context, d DeadLetter, text string, ops []store.Op) error {
	entry := journal.Entry{Kind: journal.KindNote, Subject: "scope:" + lettersSource, Ref: clip(d.Name, 300), Text: clip(text, 1000), Body: encode(d.Events[:min(len(d.Events), 50)])}
	return g.commit(ctx, lettersPartition, []journal.Entry{entry}, ops...)
}

// deleteLetter deletes what was recorded; what was written anew meanwhile stays for
// the next look.
func (g *Guard) deleteLetter(ctx context.Context, d DeadLetter) error {
	err := g.Letters.Box.Delete(ctx, d.Letter)
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	if err != nil {
		return err
	}
	return asRecordError(g.dropMark(ctx, lettersPartition, letterRow("left", d.Letter)))
}

// leaveLetter tells, once, of a letter that stays.
func (g *Guard) leaveLetter(ctx context.Context, d DeadLetter) error {
	if d.Signals > 0 {
		d.Why += "; what could be read of it was taken in: " + events(d.Signals)
	}
	ops := []store.Op{{Kind: store.Insert, Key: letterRow("left", d.Letter)}}
	if g.flood.tell(lettersSource, g.Now()) {
		ops = append(ops, g.outbox(alert.Alert{
			ID: g.NewID(), DedupKey: "cmkguard/" + letterRow("left", d.Letter), GroupKey: "poison", Lifecycle: alert.Notice, Severity: risk.Medium,
			Title: "A dead letter of Event Grid cannot be taken in and stays where it is", What: clip(d.Name+": "+d.Why, 1500),
			Subject: "scope:" + lettersSource, Since: d.Written, Ref: clip(d.Name, 300),
			Next: []string{"cmkguard deadletter show " + d.Name + " shows it. Once it can be read: cmkguard deadletter replay " + d.Name, "To give it up: cmkguard deadletter drop " + d.Name + " --reason TEXT"},
		})...)
	}
	err := g.recordLetter(ctx, d, "dead letter "+d.Name+" stays: "+d.Why, ops)
	if fault.Is(err, fault.Conflict) {
		return nil // told before
	}
	return err
}

// lettersAlert tells that events had been lost on the way. It is high if they had
// not come by another way: what they tell of went unseen until now.
func (g *Guard) lettersAlert(taken []DeadLetter) alert.Alert {
	all, ours, late, since := 0, 0, 0, time.Time{}
	why := map[string]int{}
	for _, d := range taken {
		all, ours, late = all+d.Signals+d.Ignored, ours+d.Signals, late+d.late
		for _, e := range d.Events {
			why[e.Reason+", last answer "+cmp.Or(e.Outcome, "unknown")]++
			if !e.Published.IsZero() && (since.IsZero() || e.Published.Before(since)) {
				since = e.Published
			}
		}
	}
	a := alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/self/dead-letters", GroupKey: "self", Lifecycle: alert.Notice, Severity: risk.Low,
		Title:   fmt.Sprintf("Event Grid had given up %s, which we took in now", events(all)),
		What:    fmt.Sprintf("%d dead letters; %s about keys in use or what they hang on, %d of which had not come by another way: %s", len(taken), events(ours), late, told(why)),
		Subject: "scope:cmkguard", Since: cmp.Or(since, g.Now()).UTC(), Ref: clip(taken[0].Name, 300),
		Next: []string{"Look at what Event Grid met at that time: was the app stopped, refused (401, 403, 404), or too slow? Until it answers, events come late by as long as Event Grid tries."},
	}
	if late > 0 {
		a.Severity, a.Breaks = risk.High, "what these events tell of was seen by the hourly look at the latest, not when it happened"
	}
	return a
}

func told(why map[string]int) string {
	parts := make([]string, 0, len(why))
	for _, k := range slices.Sorted(maps.Keys(why)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", k, why[k]))
	}
	return strings.Join(parts, "; ")
}

func events(n int) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}

func whyGivenUp(d DeadLetter) string {
	if len(d.Events) == 0 {
		return "nothing is said of why it was given up"
	}
	e := d.Events[0]
	return fmt.Sprintf("%s after %d attempts, last answer %s", e.Reason, e.Attempts, cmp.Or(e.Outcome, "unknown"))
}

package self

import (
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/risk"
)

// TooManyOrphans is how many signals one sweep may find that were stored and never
// queued: each means that an intake died between two writes, and a hundred
// within a minute is no accident.
const TooManyOrphans = 100

// Load is how much work waits, and how long.
type Load struct {
	// PulseSent is when the message was queued that measures the queue and has not
	// come back; zero: none is out. PulseTook is how long the last one waited.
	PulseSent time.Time
	PulseTook time.Duration
	// Stuck are pieces of work that failed for about an hour, the oldest since
	// StuckSince and for StuckWhy.
	Stuck      int
	StuckSince time.Time
	StuckWhy   string
	Orphans    int // signals that were stored and not queued
	// Overdue are steps of sagas that nobody took, the latest OverdueBy late.
	Overdue   int
	OverdueBy time.Duration
}

// JudgeLoad answers SELF-008; nothing may wait longer than limit.
func JudgeLoad(l Load, limit time.Duration, now time.Time) risk.Verdict {
	var late []string
	say := func(format string, args ...any) { late = append(late, fmt.Sprintf(format, args...)) }
	waits := l.PulseTook
	if !l.PulseSent.IsZero() {
		waits = max(waits, now.Sub(l.PulseSent))
	}
	if !l.PulseSent.IsZero() && now.Sub(l.PulseSent) > limit {
		say("nothing that was queued since %s has been taken from the work queue", moment(l.PulseSent))
	} else if l.PulseTook > limit {
		say("the work queue is %s behind", span(l.PulseTook))
	}
	if l.Stuck > 0 {
		say("%d pieces of work fail again and again, the oldest since %s: %s", l.Stuck, moment(l.StuckSince), clip(l.StuckWhy, 300))
	}
	if l.OverdueBy > limit {
		say("%d steps of plans under way are overdue, the oldest by %s", l.Overdue, span(l.OverdueBy))
	}
	if l.Orphans > TooManyOrphans {
		say("%d events were stored and never queued; they are queued now", l.Orphans)
	}
	seen := []risk.Evidence{{Call: "state, work queue", At: now.UTC(), Value: fmt.Sprintf(
		"a message waits %s; %d stuck, %d overdue by at most %s, %d never queued", span(waits), l.Stuck, l.Overdue, span(l.OverdueBy), l.Orphans)}}
	if len(late) > 0 {
		return verdict(Backlog, Us(), risk.Broken, seen, "%s (limits.backlogAge is %s)", strings.Join(late, "; "), span(limit))
	}
	return verdict(Backlog, Us(), risk.OK, seen, "a queued message waits %s", span(waits))
}

// Count is how many of something there are, as far as anybody counted.
type Count struct {
	N    int
	More bool   // at least N
	Why  string // not empty: it could not be counted
	Call string
	At   time.Time
}

func (c Count) String() string {
	if c.More {
		return fmt.Sprintf("%d or more", c.N)
	}
	return fmt.Sprint(c.N)
}

// JudgeDeadLetters answers SELF-002: more than limit are too many.
func JudgeDeadLetters(c Count, limit int) risk.Verdict {
	return c.judge(DeadLetter, limit, "%s events that Event Grid gave up delivering lie in the dead-letter container (limits.deadLetters is %d)", "%s lie there")
}

// JudgeKept answers SELF-003.
func JudgeKept(c Count, limit int) risk.Verdict {
	return c.judge(Kept, limit, "%s inputs that could not be handled are kept and nobody has looked at them (limits.keptInput is %d)", "%s are kept")
}

func (c Count) judge(check string, limit int, bad, good string) risk.Verdict {
	seen := []risk.Evidence{{Call: c.Call, At: c.At.UTC(), Value: c.String()}}
	switch {
	case c.Why != "":
		seen[0].Value = c.Why
		return verdict(check, Us(), risk.Unknown, seen, "they could not be counted: %s", c.Why)
	case c.N > limit:
		return verdict(check, Us(), risk.Broken, seen, bad, c, limit)
	}
	return verdict(check, Us(), risk.OK, seen, good, c)
}

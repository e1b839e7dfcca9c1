package incident_test

import (
	"strings"
	"testing"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/risk"
)

var start = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func verdict(a risk.Answer) risk.Verdict {
	return risk.Verdict{Check: "CMK-013", Subject: event.Subject{Kind: event.SubjectKey, ID: "kv/k"}, Answer: a, Severity: risk.Medium}
}

func TestTheLifeOfAnIncident(t *testing.T) {
	t.Parallel()
	worse := verdict(risk.Broken)
	worse.Severity = risk.High
	var prev *incident.Incident
	for n, step := range []struct {
		v        risk.Verdict
		change   incident.Change
		state    incident.State
		episodes int
	}{
		{verdict(risk.OK), incident.None, "", 0}, // an ok never opens one
		{verdict(risk.Broken), incident.Opened, incident.Open, 1},
		{verdict(risk.Broken), incident.None, incident.Open, 1},
		{verdict(risk.Unknown), incident.None, incident.Open, 1}, // and an unknown never closes one
		{worse, incident.Updated, incident.Open, 1},
		{verdict(risk.OK), incident.Cleared, incident.Resolved, 1},
		{verdict(risk.OK), incident.None, incident.Resolved, 1},
		{verdict(risk.Unknown), incident.Blurred, incident.Uncertain, 1},
		{verdict(risk.Broken), incident.Opened, incident.Open, 2},
		{verdict(risk.OK), incident.Cleared, incident.Resolved, 2},
	} {
		next, change := incident.Next(prev, step.v, start.Add(time.Duration(n)*time.Hour))
		if change != step.change || next.State != step.state || next.Episodes != step.episodes {
			t.Fatalf("step %d: %q %+v", n, change, next)
		}
		if change == incident.Cleared && next.Verdict.Severity == "" {
			t.Fatal("the end goes to nobody")
		}
		if next.State != "" {
			prev = &next
		}
	}
}

// A question is told once it was open for a quarter of an hour, once, and its answer is a turn
// like any other; one that is answered sooner is told to nobody.
func TestWhatStaysUnanswered(t *testing.T) {
	t.Parallel()
	i, _ := incident.Next(nil, verdict(risk.Unknown), start)
	for n, step := range []struct {
		minute int
		answer risk.Answer
		want   incident.Change
		turns  int
	}{
		{14, risk.Unknown, incident.None, 0},
		{15, risk.Unknown, incident.Unclear, 1},
		{16, risk.Unknown, incident.None, 1},
		{17, risk.OK, incident.Answered, 2},
		{18, risk.Unknown, incident.Blurred, 2},
		{32, risk.OK, incident.Answered, 2}, // nobody was told
		{33, risk.Unknown, incident.Blurred, 2},
		{49, risk.Unknown, incident.Unclear, 3},
		{50, risk.Broken, incident.Opened, 4},
		{55, risk.Unknown, incident.None, 4}, // it stays open
	} {
		var change incident.Change
		i, change = incident.Next(&i, verdict(step.answer), start.Add(time.Duration(step.minute)*time.Minute))
		if change != step.want || len(i.Turns) != step.turns {
			t.Errorf("step %d: %q, want %q; %+v", n, change, step.want, i)
		}
	}
}

// Who was told of an episode is kept to its end, through what cannot be told in
// between, and not beyond.
func TestWhoWasToldIsKeptForOneEpisode(t *testing.T) {
	t.Parallel()
	i, _ := incident.Next(nil, verdict(risk.Unknown), start)
	i.Told = []string{"pager"}
	for n, step := range []struct {
		answer risk.Answer
		want   string
	}{{risk.Broken, "pager"}, {risk.OK, "pager"}, {risk.Unknown, ""}, {risk.Broken, ""}} {
		i, _ = incident.Next(&i, verdict(step.answer), start.Add(time.Duration(n)*time.Hour))
		if got := strings.Join(i.Told, " "); got != step.want {
			t.Errorf("step %d, %s: told %q, want %q", n, step.answer, got, step.want)
		}
	}
	i.Told = []string{"pager"}
	i, _ = incident.Next(&i, verdict(risk.OK), start)
	if i, _ = incident.Next(&i, verdict(risk.Broken), start); i.Told != nil || i.Episodes < 2 {
		t.Errorf("a new episode begins with %+v", i)
	}
}

// An acknowledgement holds for what was taken on, and for no other episode.
func TestHowLongAnAcknowledgementHolds(t *testing.T) {
	t.Parallel()
	worse, other := verdict(risk.Broken), verdict(risk.Broken)
	worse.Severity, other.Breaks = risk.High, "something else"
	opened, _ := incident.Next(nil, verdict(risk.Broken), start)
	for name, c := range map[string]struct {
		v    risk.Verdict
		kept bool
	}{
		"the same": {verdict(risk.Broken), true}, "no answer": {verdict(risk.Unknown), true}, "another consequence": {other, true},
		"worse": {worse, false}, "mended": {verdict(risk.OK), false},
	} {
		i := opened
		i.Acked = &incident.Ack{By: "anna", At: start}
		if next, _ := incident.Next(&i, c.v, start.Add(time.Hour)); (next.Acked != nil) != c.kept {
			t.Errorf("%s: %+v", name, next.Acked)
		}
	}
}

// More than four turns within an hour are a flap; half an hour without one ends it.
func TestWhatComesAndGoes(t *testing.T) {
	t.Parallel()
	i, _ := incident.Next(nil, verdict(risk.Broken), start)
	turn := func(after time.Duration) {
		answer := risk.OK
		if i.State == incident.Resolved {
			answer = risk.Broken
		}
		i, _ = incident.Next(&i, verdict(answer), i.Changed.Add(after))
	}
	for range 3 {
		turn(10 * time.Minute)
	}
	if i.Flaps != nil || i.Settles != nil {
		t.Fatalf("four turns: %+v", i)
	}
	turn(10 * time.Minute)
	began := i.Changed
	if i.Flaps == nil || !i.Flaps.Equal(began) || !i.Settles.Equal(began.Add(30*time.Minute)) {
		t.Fatalf("five turns: %+v", i)
	}
	turn(29 * time.Minute)
	if i.Flaps == nil || !i.Flaps.Equal(began) || !i.Settles.Equal(i.Changed.Add(30*time.Minute)) {
		t.Fatalf("it goes on: %+v", i)
	}
	turn(31 * time.Minute)
	if i.Flaps != nil || i.Settles != nil {
		t.Fatalf("it was quiet: %+v", i)
	}
	slow, _ := incident.Next(nil, verdict(risk.Broken), start)
	for i = slow; i.Episodes < 8; turn(20 * time.Minute) {
		if i.Flaps != nil {
			t.Fatalf("three turns an hour are none: %+v", i)
		}
	}
}

// What breaks at a date is told at each rung once, and never between.
func TestTheLadder(t *testing.T) {
	t.Parallel()
	by := start.AddDate(0, 0, 100)
	v := verdict(risk.Broken)
	v.By = &by
	var prev *incident.Incident
	var told []int
	for hour := range 101 * 24 {
		now := start.Add(time.Duration(hour) * time.Hour)
		next, change := incident.Next(prev, v, now)
		if change != incident.None {
			told = append(told, int(by.Sub(now)/(24*time.Hour)))
		}
		prev = &next
	}
	want := []int{100, 90, 60, 30, 14, 7, 1}
	if len(told) != len(want) {
		t.Fatalf("told with %v days left, want %v", told, want)
	}
	for i := range want {
		if told[i] != want[i] {
			t.Fatalf("told with %v days left, want %v", told, want)
		}
	}
}

// What is gone ends, whatever its state; it is not called ok, and opens again if it
// comes back.
func TestTheEndOfWhatIsGone(t *testing.T) {
	t.Parallel()
	open, _ := incident.Next(nil, verdict(risk.Broken), start)
	blurred, _ := incident.Next(nil, verdict(risk.Unknown), start)
	for _, prev := range []incident.Incident{open, blurred} {
		over, change := incident.End(prev, "the cluster is gone", nil, start.Add(time.Hour))
		v := over.Verdict
		if change != incident.Ended || over.State != incident.Resolved || v.Answer != risk.Unknown || v.Why != "the cluster is gone" || v.Severity != risk.Medium {
			t.Fatalf("%q %+v", change, over)
		}
		if _, change = incident.End(over, "again", nil, start); change != incident.None {
			t.Fatalf("ended twice: %q", change)
		}
		if _, change = incident.Next(&over, verdict(risk.OK), start); change != incident.None {
			t.Fatalf("an ok after the end: %q", change)
		}
		if back, change := incident.Next(&over, verdict(risk.Broken), start); change != incident.Opened || back.Episodes != prev.Episodes+1 {
			t.Fatalf("it came back: %q %+v", change, back)
		}
	}
}

package self

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// Ear is where a subscription's events are to lead: a function, or a queue of a
// storage account.
type Ear struct {
	ID    string // ARM id of the function or of the storage account
	Queue string // of the storage account; "" for a function
}

func (e Ear) takes(s wiring.EventSubscription) bool {
	return strings.EqualFold(e.ID, s.To) && strings.EqualFold(e.Queue, s.Queue)
}

// String is how people are told of it.
func (e Ear) String() string {
	if e.Queue != "" {
		return fmt.Sprintf("queue %s of %s", e.Queue, last(e.ID))
	}
	return "function " + last(e.ID)
}

// settling is how long a topic or an event subscription may be about to work. Event
// Grid takes seconds.
const settling = time.Hour

// Watched is the subject of what is about one watched subscription.
func Watched(subscription string) event.Subject {
	return event.Subject{Kind: event.SubjectScope, ID: "/subscriptions/" + strings.ToLower(subscription)}
}

// JudgeEvents answers SELF-001 about one subscription: that what is done to its
// resources is told to one of the ears. It also returns what to remember of it; before
// is what was remembered.
func JudgeEvents(h wiring.Hearing, to []Ear, before wiring.Heard, now time.Time) (risk.Verdict, wiring.Heard) {
	j := judged{h: h, to: to, before: before, now: now, topic: last(h.TopicID().String())}
	v := j.answer()
	next := before
	switch {
	case v.Answer == risk.OK:
		return v, wiring.Heard{At: now.UTC(), Topic: h.TopicID().String(), By: j.by}
	case j.waits && before.Unsettled.IsZero():
		next.Unsettled = now.UTC()
	case !j.waits && v.Answer == risk.Broken:
		next.Unsettled = time.Time{}
	}
	next.Deaf = true
	return v, next
}

// judged is one judgement under way.
type judged struct {
	h      wiring.Hearing
	to     []Ear
	before wiring.Heard
	now    time.Time
	topic  string   // its name
	by     []string // ids of the event subscriptions that serve
	faults []string // of those that lead to us
	waits  bool     // something is about to work
}

func (j *judged) say(a risk.Answer, format string, args ...any) risk.Verdict {
	seen := []risk.Evidence{{Call: j.h.Topic.Call, At: j.h.Topic.At, Value: orElse(j.h.Topic.Why, "topic "+j.topic+" in state "+j.h.Topic.Value.State)}}
	if f := j.h.Heard; f.Call != "" {
		seen = append(seen, risk.Evidence{Call: f.Call, At: f.At, Value: orElse(f.Why, fmt.Sprintf("%d event subscriptions, %d of them serve", len(f.Value), len(j.by)))})
	}
	return verdict(Events, Watched(j.h.Subscription), a, seen, "subscription %s: "+format, append([]any{j.h.Subscription}, args...)...)
}

// deaf is a broken answer, which says since when.
func (j *judged) deaf(format string, args ...any) risk.Verdict {
	if !j.before.At.IsZero() {
		format += "; until %s its events led to us"
		args = append(args, moment(j.before.At))
	}
	return j.say(risk.Broken, format, args...)
}

func (j *judged) answer() risk.Verdict {
	switch t := j.h.Topic; {
	case t.State == wiring.Absent:
		return j.deaf("it has no system topic, so nothing that is done to its resources is told to anybody")
	case !t.OK():
		return j.say(risk.Unknown, "its system topic could not be read: %s", t.Why)
	case !j.h.Heard.OK():
		return j.say(risk.Unknown, "the event subscriptions of its topic %s could not be read: %s", j.topic, j.h.Heard.Why)
	case t.Value.State != "" && stateOf(t.Value.State) == gone:
		return j.deaf("its system topic %s is in state %s", j.topic, t.Value.State)
	}
	serve, soon := j.sort()
	left, maybe, by := missing(serve, j.h.Subscription)
	switch after, _, _ := missing(append(serve, soon...), j.h.Subscription); {
	case len(left) == 0 && maybe == "":
		return j.say(risk.OK, "what is done to its resources is told to us by %s", strings.Join(names(serve), ", "))
	case len(left) == 0:
		return j.say(risk.Unknown, "whether all that we need is told cannot be said: %s filters on %s", by, maybe)
	case len(soon) > 0 && len(after) == 0:
		if j.waits = true; j.before.Unsettled.IsZero() || j.now.Sub(j.before.Unsettled) < settling {
			return j.say(risk.Unknown, "%s is about to work", strings.Join(names(soon), ", "))
		}
		j.faults = append(j.faults, fmt.Sprintf("%s has been about to work since %s", strings.Join(names(soon), ", "), moment(j.before.Unsettled)))
	}
	return j.lacking(serve, left)
}

// lacking says which part is deaf.
func (j *judged) lacking(serve []wiring.EventSubscription, left []string) risk.Verdict {
	switch {
	case len(serve) == 0 && len(j.faults) == 0:
		return j.deaf("none of the %d event subscriptions of its topic %s leads to %s", len(j.h.Heard.Value), j.topic, ears(j.to))
	case len(serve) == 0:
		return j.deaf("nothing is told: %s", strings.Join(j.faults, "; "))
	}
	why := "not told to us are " + few(left)
	if len(j.faults) > 0 {
		why += ": " + strings.Join(j.faults, "; ")
	} else {
		why += ": the filters of " + strings.Join(names(serve), ", ") + " leave them out"
	}
	return j.deaf("%s", why)
}

// sort parts what leads to us into what serves and what is about to; the rest is a
// fault.
func (j *judged) sort() (serve, soon []wiring.EventSubscription) {
	young := stateOf(j.h.Topic.Value.State) == coming
	for _, s := range j.h.Heard.Value {
		if !slices.ContainsFunc(j.to, func(e Ear) bool { return e.takes(s) }) {
			continue
		}
		switch state := stateOf(s.State); {
		case !s.Expires.IsZero() && !j.now.Before(s.Expires):
			j.faults = append(j.faults, fmt.Sprintf("%s expired at %s", last(s.ID), moment(s.Expires)))
		case state == gone:
			j.faults = append(j.faults, fmt.Sprintf("%s is in state %s", last(s.ID), orElse(s.State, "unknown")))
		case s.As != "" && !slices.Contains(j.h.Topic.Value.Identities, s.As):
			j.faults = append(j.faults, fmt.Sprintf("%s delivers by the identity %s, which its topic %s does not have", last(s.ID), last(s.As), j.topic))
		case state == coming || young:
			soon = append(soon, s)
		default:
			serve, j.by = append(serve, s), append(j.by, s.ID)
		}
	}
	return serve, soon
}

type condition int

const (
	works condition = iota
	coming
	gone
)

// stateOf: the provisioning states of topics and event subscriptions (azure-rest-api-specs,
// eventgrid). While one is changed it may deliver or not: that is not documented.
func stateOf(state string) condition {
	switch strings.ToLower(state) {
	case "succeeded":
		return works
	case "creating", "updating":
		return coming
	}
	return gone // Failed, Canceled, Deleting, AwaitingManualAction, and what is not known
}

func names(list []wiring.EventSubscription) (out []string) {
	for _, s := range list {
		out = append(out, last(s.ID))
	}
	return out
}

func ears(list []Ear) string {
	var out []string
	for _, e := range list {
		out = append(out, e.String())
	}
	return strings.Join(out, " or ")
}

func few(list []string) string {
	if more := len(list) - named; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:named], ", "), more)
	}
	return strings.Join(list, ", ")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

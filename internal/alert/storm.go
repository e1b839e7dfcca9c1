package alert

import (
	"context"
	"slices"
	"time"

	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

const (
	// What is critical in a storm is told within seconds, the rest a while apart.
	stormCriticalWait  = 5 * time.Second
	stormCriticalEvery = 15 * time.Second
	stormWait          = 30 * time.Second
	stormEvery         = 5 * time.Minute
	// stormNote is how old the last note of a storm may be before it is written anew.
	stormNote = 5 * time.Second
)

// Storm says from when on the messages to a channel are told as one.
type Storm struct {
	More   int           // so many within Within are told by themselves; 0: all are
	Within time.Duration // and how long it has to be quiet for the storm to be over
	Keeps  bool          // the receiver keeps incidents by their key
}

// Group is what an alert is told together with.
type Group struct {
	Key, Name   string // Name as half a sentence: "vault kv-shop"
	Wait, Every time.Duration
}

// storm is what a channel's desk knows of its storm.
type storm struct {
	ID    string    `json:"id"`
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"` // when a message came to be due last
}

func (d *Dispatcher) storm(channel string) Storm {
	if d.rules.Storm == nil {
		return Storm{}
	}
	return d.rules.Storm(channel)
}

// over reports whether it was quiet for long enough.
func (s *storm) over(within time.Duration, now time.Time) bool {
	return s == nil || now.Sub(s.Last) >= within
}

// dueNow notes that a message came to be due, once, and begins or ends the channel's
// storm by it.
func (k *desk) dueNow(id string, r Storm, now time.Time) (changed bool) {
	if k.Storm != nil && k.Storm.over(r.Within, now) {
		k.Storm, changed = nil, true
	}
	if slices.ContainsFunc(k.Due, func(a admitted) bool { return a.ID == id && now.Sub(a.At) < r.Within }) {
		return changed
	}
	k.Due = slices.DeleteFunc(slices.Clone(k.Due), func(a admitted) bool { return now.Sub(a.At) >= r.Within })
	k.Due = append(k.Due, admitted{id, now})
	k.Due = k.Due[max(0, len(k.Due)-keptRecent):]
	switch {
	case k.Storm == nil && len(k.Due) > r.More:
		k.Storm = &storm{ID: store.Name("storm", k.Channel+"|"+now.UTC().Format(time.RFC3339Nano)), Since: now, Last: now}
	case k.Storm != nil && now.Sub(k.Storm.Last) >= stormNote:
		k.Storm.Last = now
	}
	return true
}

// storming reports whether the channel has a storm now.
func (p *pass) storming(ctx context.Context, channel string) bool {
	r := p.storm(channel)
	if r.More == 0 {
		return false
	}
	k, err := p.readDesk(ctx, channel)
	return err == nil && !k.Storm.over(r.Within, p.now())
}

// swept reports whether a storm of its channel may take the delivery. A receiver that
// keeps incidents is told by itself of what becomes of those that it knows: only what
// would call somebody anew is taken.
func (p *pass) swept(x *parcel) bool {
	n := x.n
	if p.storm(n.Channel).More == 0 || !n.single() || n.Attempt > 0 {
		return false
	}
	return !p.storm(n.Channel).Keeps || calls(n.Alert) && !p.knows(x)
}

// mayHave reports whether the receiver may have the delivery, or one that yields to it,
// though no receipt says so: then it may know the incident by itself.
func (p *pass) mayHave(x *parcel, k desk) bool {
	for _, o := range p.parcels[:slices.Index(p.parcels, x)+1] {
		if sameIncident(o.n) == sameIncident(x.n) && o.n.State == Pending && (o.n.Attempt > 0 || k.let(o.n.ID)) {
			return true
		}
	}
	return false
}

// calls reports whether the alert calls somebody, at a receiver that keeps incidents.
func calls(a Alert) bool {
	return a.Lifecycle == Trigger || a.Lifecycle == Notice && a.Severity.Rank() >= risk.High.Rank()
}

// stream is the storm's stream for the alert.
func (s storm) stream(channel string, r Storm, a Alert) Stream {
	out := Stream{Key: "storm/" + s.ID, Channel: channel, Storm: &Tempest{ID: s.ID, Since: s.Since, More: r.More, Within: r.Within, Keeps: r.Keeps}}
	return out.forAlert(a)
}

// forAlert is the stream of the same storm for another alert of an incident that it
// stands for: what is critical has one of its own, in which an incident stays that came
// to it.
func (s Stream) forAlert(a Alert) Stream {
	t := *s.Storm
	t.Critical = t.Critical || a.Severity.Rank() >= risk.Critical.Rank() && a.Lifecycle != Resolve && a.Lifecycle != Acknowledge
	s.Storm, s.Key, s.Wait, s.Every = &t, "storm/"+t.ID, stormWait, stormEvery
	if t.Critical {
		s.Key, s.Wait, s.Every = s.Key+"/critical", stormCriticalWait, stormCriticalEvery
	}
	return s
}

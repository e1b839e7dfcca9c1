package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// claimFor is longer than a call may take.
const claimFor = 3 * sendTimeout

// deliver sends what is due of an incident: x, or the later delivery to which it
// yields after it was held.
func (p *pass) deliver(ctx context.Context, x *parcel) error {
	if x.n.Stands > 0 { // a digest: its members were judged
		return p.attempt(ctx, x, nil)
	}
	if later := p.yielded(x); later != nil {
		return p.fold(ctx, x, later.n)
	}
	if e := p.enlisted(x); e != nil {
		if free, err := p.release(ctx, x, e); err != nil || !free {
			return err
		}
	}
	send, err := p.pick(ctx, x)
	if err != nil || send == nil || send.stale {
		return err
	}
	if s, ok := p.stream(ctx, send); ok {
		return p.enlist(ctx, x, send, s)
	}
	err = p.attempt(ctx, send, x.n.Held)
	if send != x && send.n.State == Pending {
		x.n.NextAt = send.n.NextAt
	}
	return err // what yielded to it is folded by the next call
}

// attempt tries once, if the channel may be called, and commits what came of it. If
// the commit fails the row stays as it was and is sent again, under the same alert
// id. held is what held it, or what yields to it; nil for nothing.
func (p *pass) attempt(ctx context.Context, x *parcel, held *Held) error {
	if err := p.follow(ctx, x); err != nil || x.stale {
		return err
	}
	ch, ok := p.channels[x.n.Channel]
	if !ok {
		return p.settle(ctx, x, "", 0, fault.New(fault.Denied, "alert.send", "channel %q is not configured (policy: channels), or its secret is not set", x.n.Channel))
	}
	b, in, wait, err := p.admit(ctx, x)
	if err != nil {
		return err
	}
	if in != nil {
		return p.enlist(ctx, x, x, in.stream(x.n.Channel, p.storm(x.n.Channel), x.n.Alert))
	}
	if wait > 0 {
		x.n.NextAt = p.now().Add(wait)
		p.resting[x.n.Channel] = x.n.NextAt
		if b.open() {
			return p.standIn(ctx, x, b.why())
		}
		return nil
	}
	if !p.claim(ctx, x) {
		return nil
	}
	a := x.n.Alert
	if held != nil {
		a.Notes = append(slices.Clone(a.Notes), heldNote(*held, p.now()))
	}
	began := p.now()
	id, failed := p.call(ctx, ch, a)
	return p.settle(ctx, x, id, p.now().Sub(began), failed)
}

// claim takes the delivery for this call: the work item that wrote an alert and the
// sweep come to the same row at the same moment, and people would be told twice. Who
// is slower waits, as if it were not due; if the claimant dies, it is due again when
// the claim is over. A storage that takes no claim is no reason to tell nobody.
func (p *pass) claim(ctx context.Context, x *parcel) (mine bool) {
	n := x.stored
	n.NextAt = p.now().Add(claimFor).UTC()
	etags, err := p.state.Apply(ctx, p.partition, []store.Op{{Kind: store.Replace, Key: x.row.Key, Value: encode(n), ETag: x.row.ETag}})
	if fault.Is(err, fault.Conflict) {
		x.n.NextAt, x.stale = n.NextAt, true
		return false
	}
	if err == nil && len(etags) == 1 {
		x.row.ETag = etags[0]
	}
	return true
}

// call sends, within its time.
func (d *Dispatcher) call(ctx context.Context, ch Channel, a Alert) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return ch.Send(ctx, a)
}

func (d *Dispatcher) send(ctx context.Context, channel string, a Alert) (string, error) {
	ch, ok := d.channels[channel]
	if !ok {
		return "", fault.New(fault.Denied, "alert.send", "channel %q is not configured (policy: channels), or its secret is not set", channel)
	}
	return d.call(ctx, ch, a)
}

// admit asks whether the channel may be called now. in is the storm that takes the
// delivery in its place. A wait above zero: not yet, and how its breaker stands.
func (p *pass) admit(ctx context.Context, x *parcel) (b breaker, in *storm, wait time.Duration, err error) {
	taken, d, n := false, p.Dispatcher, x.n
	counts := p.swept(x) || n.Stands > 0 && !n.InStorm && p.storm(n.Channel).More > 0
	s, err := d.changeDesk(ctx, n.Channel, func(k *desk) (batch, bool) {
		now := d.now().UTC()
		b, changed := &k.Breaker, false
		if in = nil; counts {
			changed = k.dueNow(n.ID, p.storm(n.Channel), now)
			if k.Storm != nil && n.Stands == 0 && !p.alone[n.ID] && !p.mayHave(x, *k) {
				in = k.Storm
				return batch{}, changed
			}
		}
		switch {
		case now.Before(b.Until):
			wait = b.Until.Sub(now)
		case now.Before(k.Shut):
			wait = k.Shut.Sub(now)
		case b.open() && now.Before(b.Probe):
			wait = b.Probe.Sub(now)
		case !taken && d.rules.Take != nil:
			if wait = d.rules.Take(ctx, n.Channel); wait == 0 {
				taken = true
			}
		default:
			wait = 0
		}
		if wait > 0 {
			return batch{}, changed
		}
		if b.open() {
			b.Probe = now.Add(probeFor)
		}
		k.Recent = append(k.Recent, admitted{n.ID, now})
		k.Recent = k.Recent[max(0, len(k.Recent)-keptRecent):]
		return batch{}, true
	})
	if errors.Is(err, errBusy) {
		return b, nil, time.Second, nil
	}
	return s.Breaker, in, wait, err
}

// settle commits what came of a call, and tells the channel's desk.
func (p *pass) settle(ctx context.Context, x *parcel, id string, took time.Duration, failed error) error {
	n, text := p.after(x.n, id, failed)
	if n.State == Pending {
		p.resting[n.Channel] = n.NextAt
	}
	var b batch
	if text != "" {
		b.entries = append(b.entries, p.entry(n, text))
	}
	if failed != nil { // the desk first: who stands in is told in the same batch
		why, err := p.troubled(ctx, n, failed)
		if err != nil {
			return err
		}
		if why != "" {
			b = p.withStandIns(ctx, &n, b, why)
		}
	}
	if n.State == Poison && n.Stands > 0 { // its members are told by themselves
		over := p.now().UTC()
		n.State, n.OverAt = Dropped, &over
	}
	if n.State == Poison {
		if err := p.list(ctx, p.partition, n.ID); err != nil {
			return err // the row stays as it was: it is sent, and given up, once more
		}
	}
	if err := p.commit(ctx, x, n, b); err != nil {
		return err
	}
	p.note(Event{Channel: n.Channel, What: n.State, Class: n.Class, Took: took, Age: p.now().Sub(n.Alert.At)})
	var err error
	if failed == nil { // a failure was told before
		_, err = p.deskAfter(ctx, n.Channel, nil)
	}
	return err
}

// troubled tells the channel's desk of a failure, and says why others are to be told
// in its place; "" while it may only be a hiccup.
func (p *pass) troubled(ctx context.Context, n Notification, failed error) (why string, err error) {
	if _, ok := p.channels[n.Channel]; !ok {
		return "it is not configured", nil
	}
	k, err := p.deskAfter(ctx, n.Channel, failed)
	switch {
	case err != nil:
		return "", err
	case n.State == Poison:
		return "it was given up there (" + string(n.Class) + ")", nil
	case k.Breaker.open():
		return k.Breaker.why(), nil
	}
	return "", nil
}

func (d *Dispatcher) note(e Event) {
	if d.rules.Note != nil {
		d.rules.Note(e)
	}
}

// after returns the delivery as one more attempt left it, and the journal's
// line if it is over.
func (d *Dispatcher) after(n Notification, providerID string, err error) (Notification, string) {
	now := d.now().UTC()
	n.Attempt++
	title := Clean(n.Alert.Title, maxTitle)
	if n.Class = ClassOf(err); err == nil {
		n.State, n.SentAt, n.ProviderID, n.LastError = Sent, &now, providerID, ""
		return n, fmt.Sprintf("told %s%s%s: %s", n.Channel, n.inPlace(), n.standsFor(), title)
	}
	if n.TriedAt == nil {
		n.TriedAt = &now
	}
	n.LastError = Clean(err.Error(), maxErrorText)
	if n.Class == ClassPayload || now.Sub(*n.TriedAt) >= patience(n.Class) {
		n.State, n.Held, n.Yields = Poison, nil, false // put back, it is told
		return n, fmt.Sprintf("gave up telling %s after %d attempts (%s): %s", n.Channel, n.Attempt, n.Class, title)
	}
	n.NextAt = now.Add(d.delay(n.Attempt, fault.RetryAfter(err)))
	return n, ""
}

func (n Notification) inPlace() string {
	if n.StandsInFor == "" {
		return ""
	}
	return " in the place of " + n.StandsInFor
}

// standsFor says of a digest for how many alerts it stands.
func (n Notification) standsFor() string {
	if n.Stands == 0 {
		return ""
	}
	return ", for " + several(n.Stands, "alert")
}

func patience(c Class) time.Duration {
	if c == ClassAuth {
		return giveUpAuthAfter
	}
	return giveUpAfter
}

// delay doubles from 5 s to 5 min, spread over its upper half so that many
// deliveries do not come back together; never shorter than the channel asked,
// within longestAsked.
func (d *Dispatcher) delay(attempt int, asked time.Duration) time.Duration {
	w := min(firstDelay<<min(attempt-1, 10), longestDelay)
	return max(min(asked, longestAsked), w/2+time.Duration(d.jitter()*float64(w/2)))
}

func receipt(n Notification) json.RawMessage {
	return encode(struct {
		Channel     string            `json:"channel"`
		State       NotificationState `json:"state"`
		Attempt     int               `json:"attempt"`
		ProviderID  string            `json:"providerId"`
		Dedup       string            `json:"dedupKey"`
		Class       Class             `json:"class,omitempty"`
		Error       string            `json:"error,omitempty"`
		StandsInFor string            `json:"standsInFor,omitempty"`
		Stands      int               `json:"stands,omitempty"`
		Into        string            `json:"into,omitempty"`
	}{n.Channel, n.State, n.Attempt, n.ProviderID, n.Alert.DedupKey, n.Class, n.LastError, n.StandsInFor, n.Stands, n.Into})
}

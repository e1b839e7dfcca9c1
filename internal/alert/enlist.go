package alert

import (
	"context"
	"slices"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// enlisted is the last of x's incident that waits to be told with others, or nil.
func (p *pass) enlisted(x *parcel) *parcel {
	var out *parcel
	for _, o := range p.run(x) {
		if o.n.Gathered != nil && o.n.Attempt == 0 {
			out = o
		}
	}
	return out
}

// enlist has a delivery wait for others. Its own row says so first: whoever sees it
// then asks the stream's partition before anything else is done about the incident.
func (p *pass) enlist(ctx context.Context, x, e *parcel, s Stream) error {
	if err := p.follow(ctx, e); err != nil || e.stale {
		return err
	}
	n := e.stored
	n.Gathered = &Gathered{Partition: GatherPartition(n.Channel), Stream: s, Since: p.now().UTC()}
	b := batch{}
	b.entries = append(b.entries, p.entry(n, "held for "+n.Channel+" to be told with others, as part of "+s.name()+": "+Clean(n.Alert.Title, maxTitle)))
	if err := p.commit(ctx, e, n, b); err != nil || e.n.Gathered == nil {
		return err // another dispatcher was faster
	}
	_, err := p.announce(ctx, x, e, "")
	return err
}

// announce puts the delivery's row into the stream's partition, in the place of one
// that was withdrawn. It returns true if that fails for too long.
func (p *pass) announce(ctx context.Context, x, e *parcel, etag string) (alone bool, err error) {
	w := e.n.Gathered
	m := member{Schema: 1, State: memberWaits, Stream: w.Stream, Partition: p.partition, Delivery: e.n.ID, At: p.now().UTC(), Brief: briefOf(e.n.Alert), etag: etag}
	err = p.rec.Commit(ctx, w.Partition, nil, m.op())
	if err == nil || fault.Is(err, fault.Conflict) { // it is there already: the next look sees how it stands
		return false, p.waitFor(ctx, x, m)
	}
	return p.blind(x, e, err)
}

// waitFor lets x wait, in this call only, until the member's stream is told.
func (p *pass) waitFor(ctx context.Context, x *parcel, m member) error {
	s, err := p.readStream(ctx, GatherPartition(x.n.Channel), m.Stream.Key)
	x.n.NextAt = dueAt(m.Stream, m.At, s.Last)
	if soonest := p.now().Add(time.Second); x.n.NextAt.Before(soonest) {
		x.n.NextAt = soonest
	}
	return err
}

// blind is what becomes of a delivery whose stream cannot be read or written: after a
// while it is told by itself, for noise is better than silence.
func (p *pass) blind(x, e *parcel, err error) (alone bool, _ error) {
	w := e.n.Gathered
	if !e.n.together() || p.now().Sub(w.Since) >= w.Stream.Wait+blindFor {
		p.problems = append(p.problems, err)
		p.alone[e.n.ID] = true
		return true, nil
	}
	x.n.NextAt = p.now().Add(firstDelay)
	return false, err
}

// release asks how the enlisted delivery of x's incident stands. It returns true if
// the incident's deliveries are free to be told by themselves.
func (p *pass) release(ctx context.Context, x, e *parcel) (free bool, err error) {
	m, ok, err := p.readMember(ctx, e.n.Gathered.Partition, e.n.ID)
	if err != nil {
		return p.blind(x, e, err)
	}
	back := m.State == memberWithdrawn && m.Stream.keeps() // a receiver that knows of the storm only is told there
	if ok && m.State != memberWaits && !back {
		return p.decided(ctx, x, e, m)
	}
	if stays, err := p.stays(ctx, x, e); err != nil || !stays {
		if err != nil {
			return false, err
		}
		return p.withdraw(ctx, x, e, m, ok)
	}
	if !ok || back { // or a process was killed before it did
		return p.announce(ctx, x, e, m.etag)
	}
	if err := p.waitFor(ctx, x, m); err != nil || x.n.NextAt.After(p.now().Add(time.Second)) {
		return false, err
	}
	if _, _, err := p.Dispatch(ctx, e.n.Gathered.Partition); err != nil { // its time has come
		p.problems = append(p.problems, err)
	}
	if m, ok, err = p.readMember(ctx, e.n.Gathered.Partition, e.n.ID); err != nil || !ok {
		return false, err
	}
	if m.State == memberWaits { // another one is at it, or it was a little early
		return false, nil
	}
	return p.decided(ctx, x, e, m)
}

// stays reports whether the enlisted delivery is still the one to be told.
func (p *pass) stays(ctx context.Context, x, e *parcel) (bool, error) {
	p.look(ctx)
	run := p.run(x)
	_, free, err := p.judgeRun(ctx, run)
	return free >= 0 && run[free] == e, err
}

// withdraw takes the delivery out of its stream, unless it was taken by now. Where it
// was never announced a row is left all the same: a process that is about to announce
// it must not.
func (p *pass) withdraw(ctx context.Context, x, e *parcel, m member, known bool) (free bool, err error) {
	if m.State == memberWithdrawn {
		p.alone[e.n.ID] = true
		return true, nil
	}
	if !known {
		w := e.n.Gathered
		m = member{Schema: 1, Stream: w.Stream, Partition: p.partition, Delivery: e.n.ID, At: p.now().UTC(), Brief: briefOf(e.n.Alert)}
	}
	m.State = memberWithdrawn
	_, err = p.state.Apply(ctx, e.n.Gathered.Partition, []store.Op{m.op()})
	switch {
	case fault.Is(err, fault.Conflict):
		x.n.NextAt = p.now().Add(time.Second)
		return false, nil
	case err != nil:
		x.n.NextAt = p.now().Add(firstDelay)
		return false, err
	}
	p.alone[e.n.ID] = true
	return true, nil
}

// decided is what becomes of a delivery that does not wait in its stream any longer.
func (p *pass) decided(ctx context.Context, x, e *parcel, m member) (free bool, err error) {
	if m.State != memberTaken {
		p.alone[e.n.ID] = true
		return true, nil
	}
	n, ok, err := p.digest(ctx, e, m)
	switch {
	case err != nil:
		return p.blind(x, e, err)
	case ok && n.State == Sent:
		x.n.NextAt = p.now()
		return false, p.end(ctx, []*parcel{e}, Folded, n.Alert.ID, "folded for "+e.n.Channel+" into the digest "+n.Alert.ID)
	case ok && n.State == Pending:
		if x.n.NextAt = n.NextAt; !x.n.NextAt.After(p.now()) {
			x.n.NextAt = p.now().Add(time.Second)
		}
		return false, p.standInIfDown(ctx, e)
	}
	// It was given up, or nobody knows of it any longer.
	m.State = memberAlone
	if _, err := p.state.Apply(ctx, e.n.Gathered.Partition, []store.Op{m.op()}); err != nil && !fault.Is(err, fault.Conflict) {
		p.problems = append(p.problems, err)
	}
	p.alone[e.n.ID] = true
	return true, nil
}

// digest is the delivery of the digest that took the member. One that is due is sent
// first.
func (p *pass) digest(ctx context.Context, e *parcel, m member) (n Notification, ok bool, err error) {
	partition := e.n.Gathered.Partition
	for try := range 2 {
		row, ok, err := p.state.Get(ctx, partition, outboxPrefix+m.Into)
		if err != nil || !ok {
			return n, ok, err
		}
		if n, err = ReadNotification(row); err != nil {
			return n, false, err
		}
		if try > 0 || n.State != Pending || n.NextAt.After(p.now()) {
			break
		}
		if _, _, err := p.Dispatch(ctx, partition); err != nil {
			p.problems = append(p.problems, err)
		}
	}
	return n, true, nil
}

// stream is what the delivery is told with others in; false: it is told alone. An
// incident that a receiver knows as part of a storm only is told there to its end.
func (p *pass) stream(ctx context.Context, e *parcel) (Stream, bool) {
	n := e.n
	if p.alone[n.ID] || n.Attempt > 0 || !n.single() || p.channels[n.Channel] == nil {
		return Stream{}, false
	}
	if s, ok := p.belongs(e); ok {
		return s, true
	}
	if p.rules.Group == nil || !n.together() {
		return Stream{}, false
	}
	g, ok := p.rules.Group(n.Alert, n.Channel)
	if !ok || p.storming(ctx, n.Channel) {
		return Stream{}, false // the channel's storm takes it
	}
	return Stream{Key: "group/" + n.Channel + "/" + g.Key, Channel: n.Channel, Name: Clean(g.Name, maxName), Wait: g.Wait, Every: g.Every}, true
}

// belongs is the stream of a storm as part of which the delivery's receiver knows the
// incident.
func (p *pass) belongs(e *parcel) (Stream, bool) {
	var last *Notification
	if !ofState(e.n.Alert) || !p.storm(e.n.Channel).Keeps {
		return Stream{}, false
	}
	for _, o := range p.parcels[:slices.Index(p.parcels, e)] {
		if sameIncident(o.n) == sameIncident(e.n) && (o.n.State == Sent || o.n.State == Folded) && ofState(o.n.Alert) {
			last = &o.n
		}
	}
	if last == nil || !last.inStormStill() {
		return Stream{}, false
	}
	return last.Gathered.Stream.forAlert(e.n.Alert), true
}

// recalls reports whether the row is kept beyond its time: it alone knows that the
// incident was told as part of a storm, which has to hear of its end.
func (p *pass) recalls(x *parcel) bool {
	return x.n.inStormStill() && !slices.ContainsFunc(p.parcels[slices.Index(p.parcels, x)+1:], func(o *parcel) bool {
		return sameIncident(o.n) == sameIncident(x.n) && (o.n.State == Sent || o.n.State == Folded) && ofState(o.n.Alert)
	})
}

// inStormStill reports whether its receiver knows the incident by a storm that it keeps.
func (n Notification) inStormStill() bool {
	return n.State == Folded && n.Gathered != nil && n.Gathered.Stream.keeps() && n.Alert.Lifecycle != Resolve
}

package alert

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// lot is what one batch takes: the members of one digest, or one that is told alone.
type lot struct {
	stream  Stream
	state   streamState // before
	members []member    // the worst first; none: the end of an incident that the receiver keeps
	alone   bool
	life    Lifecycle
	open    bool // afterwards, at a receiver that keeps it
}

// due returns the first lot whose time has come; if there is none, how many members
// wait, and when the next lot is due.
func (g gathering) due(now time.Time) (l lot, ok bool, waiting int, next time.Time) {
	by := map[string][]member{}
	for _, m := range g.members {
		if m.State == memberWaits {
			by[m.Stream.Key] = append(by[m.Stream.Key], m)
			waiting++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(by)) {
		first, state := by[key][0], g.stateOf(key)
		if at := dueAt(first.Stream, first.At, state.Last); at.After(now) {
			if next.IsZero() || at.Before(next) {
				next = at
			}
			continue
		}
		return g.lotOf(first.Stream, state, by[key]), true, waiting, now
	}
	for _, key := range slices.Sorted(maps.Keys(g.streams)) {
		if s := g.streams[key]; s.Open && len(by[key]) == 0 && len(g.openIn(key, nil)) == 0 {
			return lot{stream: s.As, state: s, life: Resolve}, true, waiting, now
		}
	}
	return l, false, waiting, next
}

func (g gathering) stateOf(key string) streamState {
	if s, ok := g.streams[key]; ok {
		return s
	}
	return streamState{Schema: 1, Key: key}
}

// dueAt is when a member's stream is told. What waited already when the last message
// was made had no room in it.
func dueAt(s Stream, announced, last time.Time) time.Time {
	if announced.Before(last) {
		return last
	}
	at := announced.Add(s.Wait)
	if !last.IsZero() && last.Add(s.Every).After(at) {
		return last.Add(s.Every)
	}
	return at
}

// lotOf takes the worst of those that wait, as many as one message stands for.
func (g gathering) lotOf(s Stream, state streamState, waiting []member) lot {
	waiting = slices.Clone(waiting)
	slices.SortStableFunc(waiting, func(a, b member) int { return worst(a.Brief, b.Brief) })
	l := lot{stream: s, state: state, members: waiting[:min(len(waiting), s.most())]}
	if l.alone = len(l.members) == 1 && !s.keeps(); l.alone {
		return l
	}
	l.open = s.keeps() && len(g.openIn(s.Key, l.members)) > 0
	l.life = lifeOf(l.members, state.Open, s.keeps(), l.open)
	return l
}

// worst orders what is wrong before what is over, and the severe first.
func worst(a, b brief) int {
	over := func(x brief) int {
		if x.problem() {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(over(a), over(b)), cmp.Compare(b.Severity.Rank(), a.Severity.Rank()))
}

// lifeOf is where in its life the digest is.
func lifeOf(members []member, wasOpen, keeps, open bool) Lifecycle {
	has := func(life Lifecycle) bool {
		return slices.ContainsFunc(members, func(m member) bool { return m.Brief.Lifecycle == life })
	}
	problems := has(Trigger) || has(Update) || has(Notice)
	switch {
	case keeps && !problems && !open:
		return Resolve
	case keeps && wasOpen:
		return Update
	case keeps:
		return Trigger
	case !problems:
		return Resolve
	case has(Trigger):
		return Trigger
	case has(Update):
		return Update
	}
	return Notice
}

// openIn are the incidents that the stream's incident at its receiver stands for and
// that have not ended, once taken is taken as well. An incident ends in all streams at
// once: one that got worse was told in another.
func (g gathering) openIn(key string, taken []member) map[string]bool {
	out := map[string]bool{}
	see := func(m member) {
		switch {
		case m.Brief.Check == "" || !m.Stream.keeps():
		case m.Brief.Lifecycle == Resolve:
			delete(out, m.Brief.DedupKey)
		case m.Stream.Key == key && (m.Brief.Lifecycle == Trigger || m.Brief.Lifecycle == Update):
			out[m.Brief.DedupKey] = true
		}
	}
	all := slices.Clone(taken)
	for _, m := range g.members {
		if m.State == memberTaken {
			all = append(all, m)
		}
	}
	slices.SortStableFunc(all, func(a, b member) int { // in the order in which they are told, whoever announced them when
		return cmp.Or(a.Brief.Made.Compare(b.Brief.Made), cmp.Compare(stage(Alert{Lifecycle: a.Brief.Lifecycle}), stage(Alert{Lifecycle: b.Brief.Lifecycle})))
	})
	for _, m := range all {
		see(m)
	}
	return out
}

// old are the members and streams that are not needed any longer.
func (g gathering) old(now time.Time) (members []member, streams []streamState) {
	used, open := map[string]bool{}, false
	for _, s := range g.streams {
		open = open || s.Open
	}
	for _, m := range g.members {
		if m.State != memberWaits && now.Sub(m.At) > gatheredFor && (!open || !m.Stream.keeps()) {
			members = append(members, m)
			continue
		}
		used[m.Stream.Key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(g.streams)) {
		if s := g.streams[key]; !s.Open && !used[key] && now.Sub(s.Last) > gatheredFor {
			streams = append(streams, s)
		}
	}
	return members, streams
}

package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/hold"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/store/overlay"
)

// Rehearsal is the path of signals as far as its last calls: the same code, over
// live reads, with a state whose writes nobody else sees, a queue that is only
// looked at, and no client that could change anything or tell anybody. What one
// signal would leave behind, the next one finds.
type Rehearsal struct {
	live  *Guard
	g     *Guard
	queue *pile
	heard *ear
	met   map[string]bool // signals of this rehearsal, by DedupKey
}

// Rehearse returns a Rehearsal over the guard's parts; facts are shared by all its
// signals.
func (g *Guard) Rehearse() *Rehearsal {
	state, run, n := overlay.New(g.State), g.Survey(), 0
	r := &Rehearsal{live: g, queue: &pile{}, heard: &ear{Recorder: journal.NewRecorder(state, "rehearsal", g.Now)}, met: map[string]bool{}}
	r.g = &Guard{
		Cloud: g.Cloud, Policy: g.Policy, Observe: g.Observe, CanWrite: g.CanWrite, State: state, Queue: r.queue, Rec: r.heard,
		Survey: func() Survey { return run }, PublicURL: g.PublicURL, People: g.People, Now: g.Now,
		NewID: func() string { n++; return fmt.Sprintf("rehearsal-%d", n) },
	}
	return r
}

// pile is a queue that nobody works off.
type pile struct{ put []message }

// Put implements store.Queue.
func (p *pile) Put(_ context.Context, _ string, body []byte, _ time.Duration) error {
	m, err := decodeMessage(body)
	p.put = append(p.put, m)
	return err
}

// Take implements store.Queue.
func (*pile) Take(context.Context, string, int, time.Duration) ([]store.Message, error) {
	return nil, nil
}

// Done implements store.Queue.
func (*pile) Done(context.Context, string, store.Message) error { return nil }

// ear notes the deliveries that are committed.
type ear struct {
	*journal.Recorder
	due []alert.Notification
}

// Commit implements Recorder.
func (e *ear) Commit(ctx context.Context, partition string, entries []journal.Entry, ops ...store.Op) error {
	if err := e.Recorder.Commit(ctx, partition, entries, ops...); err != nil {
		return err
	}
	for _, o := range ops {
		var n alert.Notification
		if o.Kind == store.Insert && strings.HasPrefix(o.Key, alert.OutboxRow("")) && json.Unmarshal(o.Value, &n) == nil {
			e.due = append(e.due, n)
		}
	}
	return nil
}

// Act is what one signal would lead to.
type Act struct {
	Signal event.Signal
	// Before: an earlier delivery of the same event is known, and how far it came
	// ("stored", "queued", "done", or "above" in this rehearsal). Delivered again it
	// would be recognised; what is here is what it would lead to were it new.
	Before   string
	Clusters []string       // that it touches: ARM ids
	Unseen   string         // not empty: not every cluster could be seen, and why
	Verdicts []risk.Verdict // that are broken or unknown
	Plans    []Planned
	Told     []Telling
	Follows  []string // what would be looked at next: subjects
	Note     string   // of a message that is no signal
	Goes     bool     // by a message: something would go on
}

// Acts reports whether something would be done, or somebody told.
func (a Act) Acts() bool {
	return a.Goes || slices.ContainsFunc(a.Told, Telling.Heard) || slices.ContainsFunc(a.Plans, func(p Planned) bool { return p.Begins })
}

// Planned is one plan with what each gate says.
type Planned struct {
	Held
	Known  bool   // it is stored: its id can be asked for and decided on
	Begins bool   // it would be carried out
	Doing  string // why gates are not what holds it; "" if they are
}

// Telling is one alert and who would get it.
type Telling struct {
	Alert   alert.Alert
	Targets []Listener
}

// Heard reports whether somebody gets it now.
func (t Telling) Heard() bool {
	return slices.ContainsFunc(t.Targets, func(l Listener) bool { return l.Held == "" })
}

// Listener is a channel, and which line of the policy chose it.
type Listener struct {
	Channel string `json:"channel"`
	Why     string `json:"why,omitempty"`
	Held    string `json:"held,omitempty"` // what keeps it back for a while: a silence, a window, another incident
}

// Signal rehearses one signal. One that is split into keys, because it touches too
// many for one look, is followed by its parts.
func (r *Rehearsal) Signal(ctx context.Context, s event.Signal) ([]Act, error) {
	act := Act{Signal: s}
	var err error
	if act.Before, err = r.before(ctx, s); err != nil || act.Before == "above" {
		return []Act{act}, err
	}
	r.queue.put, r.heard.due = nil, nil
	p, _, err := r.g.assessed(ctx, s, true)
	if err != nil {
		return nil, err
	}
	for _, w := range p.wirings {
		act.Clusters = append(act.Clusters, w.ID.String())
	}
	if !p.complete {
		act.Unseen = p.why
	}
	sent, due := r.queue.put, r.heard.due
	if err := r.judged(ctx, p, &act, sent); err != nil {
		return nil, err
	}
	if act.Told, err = r.tellings(ctx, due); err != nil {
		return nil, err
	}
	out := []Act{act}
	for _, m := range sent {
		parts, err := r.next(ctx, m, &out[0])
		if err != nil {
			return nil, err
		}
		out = append(out, parts...)
	}
	return out, nil
}

// before says how far an earlier delivery of the event came.
func (r *Rehearsal) before(ctx context.Context, s event.Signal) (string, error) {
	if s.ID == "" {
		return "", nil
	}
	key := s.DedupKey()
	if r.met[key] {
		return "above", nil
	}
	r.met[key] = true
	row, ok, err := r.live.get(ctx, store.Name("signal", key), signalRow)
	if err != nil || !ok {
		return "", err
	}
	var st storedSignal
	if err := json.Unmarshal(row.Value, &st); err != nil {
		return "", fault.New(fault.Invalid, "guard.rehearse", "stored signal %s: %w", row.Partition, err)
	}
	return st.State, nil
}

// judged adds the verdicts and the plans.
func (r *Rehearsal) judged(ctx context.Context, p *picture, act *Act, sent []message) error {
	for _, subject := range p.subjects() {
		for _, v := range p.verdicts[subject] {
			if v.Answer != risk.OK {
				act.Verdicts = append(act.Verdicts, v)
			}
		}
		list, _, err := r.g.wanted(ctx, p, subject)
		if err != nil {
			return err
		}
		for _, w := range list {
			pl, err := r.planned(ctx, w, incident.Partition(subject), p.signal)
			if err != nil {
				return err
			}
			if pl.Begins = slices.ContainsFunc(sent, func(m message) bool { return m.Kind == kindSaga && m.ID == w.plan.ID }); pl.Begins {
				pl.Doing = ""
			}
			act.Plans = append(act.Plans, pl)
		}
	}
	return nil
}

func (r *Rehearsal) planned(ctx context.Context, w want, partition string, s event.Signal) (Planned, error) {
	h, err := r.g.held(ctx, w, partition, s)
	if err != nil {
		return Planned{}, err
	}
	out := Planned{Held: h}
	old, err := r.live.storedPlan(ctx, partition, w.plan.ID)
	if err != nil {
		return out, err
	}
	out.Known = old.planETag != ""
	mine, err := r.g.storedPlan(ctx, partition, w.plan.ID)
	if err != nil {
		return out, err
	}
	if mine.saga != nil && (old.saga == nil || mine.saga.Seq != old.saga.Seq) {
		out.Doing = "begun by a signal above" // if not by this one
		return out, nil
	}
	if old.saga != nil && old.plan.Started && !old.saga.mayStartAgain(r.g.Now()) {
		out.Doing = old.saga.doing()
		return out, nil
	}
	if w.plan.Remedy == plan.Rewire {
		open, err := r.live.openRotation(ctx, w.plan.Key)
		if open != "" {
			out.Doing = "follows in its turn with rotation plan " + open
		}
		return out, err
	}
	return out, nil
}

// tellings groups deliveries by their alert, and asks what would hold each when it
// is to be sent.
func (r *Rehearsal) tellings(ctx context.Context, due []alert.Notification) ([]Telling, error) {
	judge, err := hold.Holder{State: r.g.State, Policy: r.g.Policy, Now: r.g.Now}.Look(ctx)
	if err != nil {
		return nil, asRecordError(err)
	}
	var out []Telling
	for _, n := range due {
		i := slices.IndexFunc(out, func(t Telling) bool { return t.Alert.ID == n.Alert.ID })
		if i < 0 {
			i = len(out)
			out = append(out, Telling{Alert: n.Alert})
		}
		l := Listener{Channel: n.Channel, Why: n.Why}
		h, err := judge.Hold(ctx, n.Alert, n.Channel)
		if err != nil {
			return nil, asRecordError(err)
		}
		if h != nil {
			l.Held = h.Why
		}
		out[i].Targets = append(out[i].Targets, l)
	}
	return out, nil
}

// next goes on with a message that a signal sent: a part of it is rehearsed, of a
// look only is said that it follows.
func (r *Rehearsal) next(ctx context.Context, m message, from *Act) ([]Act, error) {
	switch m.Kind {
	case kindLook:
		if s, ok := m.signal(r.g.Cloud); ok && !slices.Contains(from.Follows, s.Subject.String()) {
			from.Follows = append(from.Follows, s.Subject.String())
		}
	case kindSignal:
		s, ok, err := r.stored(ctx, m)
		if err != nil || !ok {
			return nil, err
		}
		return r.Signal(ctx, s)
	}
	return nil, nil
}

// stored returns the signal that a message names, by the rehearsal's own state.
func (r *Rehearsal) stored(ctx context.Context, m message) (s event.Signal, ok bool, err error) {
	row, ok, err := r.g.get(ctx, m.Partition, signalRow)
	if err != nil || !ok {
		return s, false, err
	}
	var st storedSignal
	if err := json.Unmarshal(row.Value, &st); err != nil {
		return s, false, fault.New(fault.Invalid, "guard.rehearse", "stored signal %s: %w", m.Partition, err)
	}
	return st.Signal, true, nil
}

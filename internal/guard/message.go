package guard

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
)

// message is one item of the work queue: under 1 KB, its payload in state.
type message struct {
	Kind      string `json:"kind"` // signal, saga, tend, look, beat, pulse
	Partition string `json:"partition,omitempty"`
	ID        string `json:"id,omitempty"`
	Seq       int64  `json:"seq,omitempty"`     // saga: the step that this message may take
	Tries     int    `json:"tries,omitempty"`   // how often a transient fault put it back
	Clashes   int    `json:"clashes,omitempty"` // how often others were faster
	// What the signal is about, for when its row cannot be read: people are
	// told all the same.
	Hint  event.Kind `json:"hint,omitempty"`
	Key   string     `json:"key,omitempty"`
	Vault string     `json:"vault,omitempty"`
	About string     `json:"about,omitempty"` // "kind:id" of a subject that is neither
}

// maxAbout keeps a message under 1 KB; ARM ids end well before.
const maxAbout = 500

func signalMessage(partition string, s event.Signal) message {
	m := message{Kind: kindSignal, Partition: partition, Hint: s.Kind}
	if v := s.Vault.String(); len(v) <= maxAbout {
		m.Vault = v
	}
	if !s.Key.IsZero() {
		m.Key = s.Key.String()
	}
	if k := s.Subject.Kind; k != event.SubjectKey && k != event.SubjectVault && len(s.Subject.ID) <= maxAbout {
		m.About = s.Subject.String()
	}
	return m
}

// signal is the message's signal as far as the message tells it; ok is false if
// it tells too little to look at anything.
func (m message) signal(c azureid.Cloud) (s event.Signal, ok bool) {
	s = event.Signal{ID: m.Partition, Kind: m.Hint}
	var err error
	if m.Vault != "" {
		if s.Vault, err = azureid.ParseResource(m.Vault); err == nil {
			s.Subject, ok = event.Subject{Kind: event.SubjectVault, ID: s.Vault.Key()}, true
		}
	}
	if m.Key != "" {
		if s.Key, err = azureid.ParseKey(m.Key, c); err == nil {
			s.Subject, ok = event.Subject{Kind: event.SubjectKey, ID: s.Key.ID()}, true
		}
	}
	if kind, id, found := strings.Cut(m.About, ":"); found && !ok {
		s.Subject, ok = event.Subject{Kind: event.SubjectKind(kind), ID: id}, true
	}
	return s, ok
}

// The kinds of message.
const (
	kindSignal = "signal"
	kindSaga   = "saga"
	kindTend   = "tend"
	kindRights = "rights" // of our own identities
	kindDrill  = "drill"  // an exercise; ID is the scenario
	kindLook   = "look"   // at a subject, though no event asked for it
	kindBeat   = "beat"   // did the sweep's heartbeat come after all?
	kindPulse  = "pulse"  // measures how long a message waits; ID is when it was sent
)

func decodeMessage(b []byte) (message, error) {
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fault.New(fault.Invalid, "guard.work", "message is not JSON: %w", err)
	}
	switch m.Kind {
	case kindSignal, kindSaga, kindTend, kindLook, kindRights, kindDrill, kindBeat, kindPulse:
		return m, nil
	}
	return m, fault.New(fault.Invalid, "guard.work", "message field kind: %q is not signal, saga, tend, look, rights, drill, beat or pulse", m.Kind)
}

// name tells the message from others.
func (m message) name() string {
	return m.Kind + " " + m.Partition + " " + m.ID + " " + m.Key + " " + m.About
}

func (g *Guard) send(ctx context.Context, m message, delay time.Duration) error {
	raw, err := canonical.JSON(m)
	if err != nil {
		return err
	}
	return g.Queue.Put(ctx, WorkQueue, raw, max(0, delay))
}

// maxClashes is how often others may be faster before that counts as a failure: for
// that long, a quarter of an hour, no partition is fought over.
const maxClashes = 60

// clashed reports whether others were faster, which is no failure and ends soon: the
// pauses of failures would leave the last of a burst waiting for an hour.
func (m *message) clashed(err error) (again time.Duration, yes bool) {
	if m.Clashes >= maxClashes || !errors.Is(err, journal.ErrBusy) && !fault.Is(err, fault.Conflict) {
		return 0, false
	}
	m.Clashes++
	return turnAgain + time.Duration(m.Clashes%20)*time.Second, true // not all of them at once
}

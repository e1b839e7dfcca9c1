// Package hold says what keeps alerts back for a while: silences that people asked
// for, windows of the policy, and other incidents from which an alert follows. It is
// asked when an alert would be sent.
//
// It sends nothing and ends nothing: what is held stays in its outbox, and
// internal/alert tells or drops it when the hold ends.
package hold

import (
	"context"
	"slices"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/route"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// Holder implements alert.Holder over the policy and the state that all instances
// share.
type Holder struct {
	State  store.State
	Policy *policy.Policy
	Now    func() time.Time
}

var _ alert.Holder = Holder{}

// Look implements alert.Holder: it reads the silences.
func (h Holder) Look(ctx context.Context) (alert.Judge, error) {
	all, err := Silences(ctx, h.State)
	return &judge{Holder: h, silences: all, open: map[string]bool{}}, err
}

// judge judges for one call of the dispatcher.
type judge struct {
	Holder
	silences []Silence
	open     map[string]bool // incidents that were looked at, by partition and row
}

// Hold implements alert.Judge. The end of a problem is never held, nor that somebody
// works on it: who was told is told of that. A channel that nobody reads gets
// everything.
func (j *judge) Hold(ctx context.Context, a alert.Alert, channel string) (*alert.Hold, error) {
	if a.Lifecycle == alert.Resolve || a.Lifecycle == alert.Acknowledge {
		return nil, nil
	}
	now, f := j.Now(), route.Facts(a)
	read := slices.Contains(j.Policy.Everybody(), channel)
	for _, s := range j.silences {
		if read && s.Covers(f, now) {
			until := s.Until
			return &alert.Hold{Kind: alert.HoldSilence, ID: s.ID, Why: s.String(), Until: &until}, nil
		}
	}
	for _, m := range j.Policy.Mutes {
		if !read && len(m.Channels) == 0 {
			continue
		}
		if until, yes := m.Covers(f, channel, now); yes {
			h := &alert.Hold{Kind: alert.HoldMute, ID: m.Window.Name, Why: "the mute window " + m.Window.Name + " (" + j.Policy.Where(m.Line) + ")"}
			if !until.IsZero() {
				h.Until = &until
			}
			return h, nil
		}
	}
	if !read || j.Policy.Noise.KeepAll {
		return nil, nil
	}
	return j.inhibited(ctx, a)
}

// Mark implements alert.Judge: a silence keeps what it hid.
func (j *judge) Mark(ctx context.Context, h alert.Hold, n alert.Notification) error {
	if h.Kind != alert.HoldSilence {
		return nil
	}
	return hide(ctx, j.State, h.ID, n)
}

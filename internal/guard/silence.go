package guard

import (
	"context"
	"fmt"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/hold"
	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

// maxUpstream bounds the clusters that an alert names as what it hangs on.
const maxUpstream = 5

// upstreamOf names the partitions of what the subject hangs on, itself first: the
// clusters that are hit, the key, the vault.
func upstreamOf(p *picture, subject event.Subject) []string {
	out := []string{incident.Partition(subject)}
	add := func(s event.Subject) {
		if name := incident.Partition(s); s.ID != "" && name != out[0] {
			out = append(out, name)
		}
	}
	clusters := p.impact[subject]
	for _, c := range clusters[:min(len(clusters), maxUpstream)] {
		add(event.Subject{Kind: event.SubjectCluster, ID: c.ID.Key()})
	}
	for _, w := range p.wirings {
		k := w.Key()
		if k.IsZero() || w.ID.Key() != subject.ID && k.ID() != subject.ID {
			continue
		}
		add(event.Subject{Kind: event.SubjectKey, ID: k.ID()})
		if w.Vault.OK() {
			add(event.Subject{Kind: event.SubjectVault, ID: w.Vault.Value.ID.Key()})
		}
		break
	}
	return out
}

// Silence stores a silence and records it. by is who asks, as far as that is proved.
// Errors are Invalid for one that Check refuses.
func (g *Guard) Silence(ctx context.Context, s hold.Silence, by string) (hold.Silence, error) {
	s.ID = "s-" + canonical.Hash([]byte(g.NewID()))[:8]
	return g.addSilence(ctx, s, by)
}

func (g *Guard) addSilence(ctx context.Context, s hold.Silence, by string) (hold.Silence, error) {
	now := g.Now().UTC()
	s.Schema, s.By, s.Created, s.Until = 1, by, now, s.Until.UTC()
	s.Owner, s.Reason = alert.Clean(s.Owner, 100), alert.Clean(s.Reason, 300)
	if err := s.Check(now); err != nil {
		return s, err
	}
	text := fmt.Sprintf("%s added by %s until %s", s, by, s.Until.Format(time.RFC3339))
	return s, g.putSilence(ctx, s, text)
}

// Unsilence ends a silence now, with a reason or none; the next sweep tells of it.
func (g *Guard) Unsilence(ctx context.Context, id, by, reason string) (hold.Silence, error) {
	all, err := hold.Silences(ctx, g.State)
	if err != nil {
		return hold.Silence{}, asRecordError(err)
	}
	now := g.Now().UTC()
	for _, s := range all {
		if s.ID != id || !now.Before(s.Until) {
			continue
		}
		s.Until = now
		text := fmt.Sprintf("%s ended by %s", s, by)
		if reason = alert.Clean(reason, 300); reason != "" {
			text += ": " + reason
		}
		return s, g.putSilence(ctx, s, text)
	}
	return hold.Silence{}, fault.New(fault.Invalid, "guard.Unsilence", "there is no silence %q: cmkguard silence list shows them", clip(id, 50))
}

// putSilence writes a silence with its entry, and has the record sealed. That this could
// not be asked for is no failure: the silence stands, whoever tried again would make a
// second one, and the sweep seals within a minute.
func (g *Guard) putSilence(ctx context.Context, s hold.Silence, text string) error {
	if err := g.commit(ctx, hold.Partition, []journal.Entry{silenceEntry(s, text)}, s.Put()); err != nil {
		return err
	}
	_ = g.tendSoon(ctx, hold.Partition)
	return nil
}

func silenceEntry(s hold.Silence, text string) journal.Entry {
	return journal.Entry{Kind: journal.KindDecision, Subject: event.Subject{Kind: event.SubjectScope, ID: "alerts"}.String(), Ref: s.ID, Text: clip(text, 1000), Body: encode(s)}
}

// endSilences takes away the silences whose time is over, with the record of what
// each hid, and tells that they are over.
func (g *Guard) endSilences(ctx context.Context) error {
	all, err := hold.Silences(ctx, g.State)
	if err != nil {
		return asRecordError(err)
	}
	ended := false
	for _, s := range all {
		if g.Now().Before(s.Until) {
			continue
		}
		hid, ops, err := s.End(ctx, g.State)
		if err != nil {
			return asRecordError(err)
		}
		entry := silenceEntry(s, fmt.Sprintf("%s is over; it kept back %d alerts", s, hid.Count))
		entry.Body = encode(struct {
			Silence hold.Silence `json:"silence"`
			Hidden  hold.Hidden  `json:"hidden"`
		}{s, hid})
		ops = append(ops, g.outbox(g.silenceAlert(s, hid))...)
		if err := g.commit(ctx, hold.Partition, []journal.Entry{entry}, ops...); err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
		ended = true
	}
	if !ended {
		return nil
	}
	return g.tendSoon(ctx, hold.Partition)
}

func (g *Guard) silenceAlert(s hold.Silence, hid hold.Hidden) alert.Alert {
	a := alert.Alert{
		ID: store.Name("a", "silence|"+s.ID+"|"+s.Created.Format(time.RFC3339Nano)), DedupKey: alert.KeyPrefix + "silence/" + s.ID, GroupKey: "self", Lifecycle: alert.Notice, Severity: risk.Low,
		Title: "A silence is over: " + s.ID + " of " + s.Owner, Subject: "scope:alerts", Since: s.Created, Ref: s.ID,
		What: fmt.Sprintf("%s, added by %s, kept nothing back", s, s.By),
	}
	if hid.Count > 0 {
		a.Severity = risk.Medium
		a.What = fmt.Sprintf("%s, added by %s, kept back %d alerts; what is still wrong is told now", s, s.By, hid.Count)
		a.Done = hid.Titles
	}
	return a
}

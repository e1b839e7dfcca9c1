package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Taken counts what one delivery of a vault's log came to. Every record of it is
// in exactly one of Signals, Uses, Dropped and Poison; a message that is no log
// at all counts as one in Poison.
type Taken struct {
	Signals int // stored and queued, some of them together with others
	Uses    int // claims of use: one row per key version, identity and day
	Dropped int // unrelated
	Poison  int // kept as they came
	Folded  int // of Signals: over the budget, so that the whole vault is looked at
}

// TakeLogs takes in messages of a vault's diagnostic log. It returns nil when
// every record in them is queued, counted or kept; on an error the sender must
// bring all of them again: what was taken already is recognised.
func (g *Guard) TakeLogs(ctx context.Context, source string, messages [][]byte) (Taken, error) {
	g.missBeat(ctx)
	t, err := g.takeLogs(ctx, source, messages, g)
	return t, comeAgain("guard.TakeLogs", err)
}

func (g *Guard) takeLogs(ctx context.Context, source string, messages [][]byte, k keeper) (Taken, error) {
	var t Taken
	for _, raw := range messages {
		a, err := event.ParseAuditLogs(raw, g.Cloud)
		if err != nil {
			t.Poison++
			if err := k.Poison(ctx, source, err.Error(), raw); err != nil {
				return t, err
			}
			continue
		}
		t.Dropped += a.Dropped
		if err := g.noteHeard(ctx, a.Heard); err != nil {
			return t, err
		}
		t.Poison += len(a.Rejected)
		if err := poisonRecords(ctx, source, a.Rejected, k); err != nil {
			return t, err
		}
		for _, u := range a.Uses {
			t.Uses++
			if err := g.noteUse(ctx, u); err != nil {
				return t, err
			}
		}
		for _, s := range a.Signals {
			if err := g.takeRecord(ctx, source, s, raw, k, &t); err != nil {
				k.tellUnrecorded(ctx, s, err)
				return t, err
			}
		}
	}
	return t, nil
}

// takeRecord takes in the signal of one record of the message raw, and counts it.
func (g *Guard) takeRecord(ctx context.Context, source string, s event.Signal, raw []byte, k keeper, t *Taken) error {
	if g.ownRefusal(s) {
		t.Dropped++
		return nil
	}
	stored, folded, err := g.takeFrugally(ctx, s)
	if err == nil {
		err = g.noteFact(ctx, s, stored)
	}
	switch {
	case fault.Is(err, fault.Invalid): // it can be stored today as little as tomorrow
		t.Poison++
		return k.Poison(ctx, source, "record "+s.ID+" cannot be stored: "+err.Error(), raw)
	case err != nil:
		return err
	}
	t.Signals++
	if folded {
		t.Folded++
	}
	return nil
}

// ownRefusal reports whether the record tells of a read of ours that was refused or
// found nothing. The look that made it has seen that, and to look again for it would
// make the next record: a deleted key would be looked at for ever.
func (g *Guard) ownRefusal(s event.Signal) bool {
	return s.Kind == event.UseFailed && s.Claim != nil && s.Claim.Actor.AppID != "" && slices.Contains(g.Ourselves, s.Claim.Actor.AppID)
}

// maxTogether is how much of rejected records goes into one row.
const maxTogether = 256 << 10

// poisonRecords keeps records that cannot be read, as many in a row as fit: a
// flood of them costs rows by the quarter megabyte. They are kept as a log
// message, so that replaying one is replaying a message.
func poisonRecords(ctx context.Context, source string, all []event.Rejected, k keeper) error {
	var body bytes.Buffer
	reason, n := "", 0
	keep := func() error {
		if n == 0 {
			return nil
		}
		raw := append([]byte(`{"records":[`), body.Bytes()...)
		err := k.Poison(ctx, source, fmt.Sprintf("%d records cannot be read; the first: %s", n, reason), append(raw, ']', '}'))
		body.Reset()
		n = 0
		return err
	}
	for _, r := range all {
		if n > 0 && body.Len()+len(r.Raw) > maxTogether {
			if err := keep(); err != nil {
				return err
			}
		}
		if n == 0 {
			reason = fmt.Sprintf("record %d: %s", r.Index, r.Problems[0])
		} else {
			body.WriteByte(',')
		}
		body.Write(r.Raw)
		n++
	}
	return keep()
}

// takeFrugally takes the signal in, or, over the budget, one for its whole vault,
// and over that, one for everything in scope: looking wider finds what was folded
// in. The wider look begins when the minute is over, so that it comes after
// everything that was folded into it.
// It returns the partition of the signal that was stored.
func (g *Guard) takeFrugally(ctx context.Context, s event.Signal) (stored string, folded bool, err error) {
	now := g.Now().UTC()
	width := g.flood.width(s.Vault.Key(), now)
	if width == narrow {
		return store.Name("signal", s.DedupKey()), false, g.takeSignal(ctx, s)
	}
	wide := event.Signal{Source: "cmkguard/flood", Type: "CmkGuard.Flood", Kind: event.Flooded, Time: now, Vault: s.Vault, Subject: event.Subject{Kind: event.SubjectVault, ID: s.Vault.Key()}}
	if width == widest {
		wide.Vault, wide.Subject = wide.Resource, event.Subject{Kind: event.SubjectScope, ID: "/"}
	}
	minute := now.Truncate(floodWindow)
	wide.ID = "flood-" + canonical.Hash([]byte(wide.Subject.String() + minute.Format(time.RFC3339)))[:40]
	stored = store.Name("signal", wide.DedupKey())
	if !g.flood.first(wide.ID, now) {
		return stored, true, nil
	}
	if err := g.takeLater(ctx, wide, minute.Add(floodWindow).Sub(now)+skew); err != nil {
		g.flood.forget(wide.ID)
		return stored, true, err
	}
	return stored, true, nil
}

// use is a row: an identity is said to have used a key version on a day. It is a
// claim: it may inform and alert, and never releases a gate.
type use struct {
	Schema int         `json:"schema"`
	Actor  event.Actor `json:"actor"`
	Key    string      `json:"key"`
	Day    string      `json:"day"`
	Seen   time.Time   `json:"seen"` // the first time that day
}

// noteUse keeps one row a day for a key version and an identity, and no more than
// the budget of them: what is over it is only counted.
func (g *Guard) noteUse(ctx context.Context, u event.Use) error {
	if u.Key.IsZero() || u.Actor.ObjectID == "" && u.Actor.AppID == "" {
		return nil
	}
	at, now := u.Time.UTC(), g.Now().UTC()
	if at.IsZero() || at.After(now.Add(skew)) {
		at = now
	}
	who := u.Actor
	who.Name, who.Address = "", "" // the identity is the row's; not where it was
	day := at.Format(time.DateOnly)
	partition := store.Name("use", u.Key.ID())
	row := "use~" + day + "~" + store.Name("by", u.Key.Version+"/"+who.ObjectID+"/"+who.AppID)
	if !g.flood.noteUse(partition+row, now) {
		return nil
	}
	raw, err := canonical.JSON(use{Schema: 1, Actor: who, Key: u.Key.String(), Day: day, Seen: at})
	if err != nil {
		return err
	}
	_, err = g.State.Apply(ctx, partition, []store.Op{{Kind: store.Insert, Key: row, Value: raw}})
	if err != nil && !fault.Is(err, fault.Conflict) {
		g.flood.forget(partition + row)
		return asRecordError(err)
	}
	return nil
}

// LastUse is a claim of use as it is stored.
type LastUse struct {
	Actor event.Actor
	Key   string // with version, as claimed
	Day   string // 2006-01-02, UTC
}

// Uses returns the claims of use of a key since the day, oldest first: at most a
// thousand.
func (g *Guard) Uses(ctx context.Context, keyID, since string) ([]LastUse, error) {
	rows, err := g.State.Scan(ctx, store.Name("use", keyID), "use~"+since, "use~~", 1000)
	if err != nil {
		return nil, err
	}
	out := make([]LastUse, 0, len(rows))
	for _, row := range rows {
		var u use
		if json.Unmarshal(row.Value, &u) == nil {
			out = append(out, LastUse{Actor: u.Actor, Key: u.Key, Day: u.Day})
		}
	}
	return out, nil
}

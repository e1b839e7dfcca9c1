package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

// Door takes a body in again through the function that it came by. An Invalid
// fault says why it cannot.
type Door func(ctx context.Context, in *Retake, source string, body []byte) error

// Replayed is what replaying something came to.
type Replayed struct {
	ID    string   `json:"id"`
	Taken bool     `json:"taken"`          // it is kept no more
	Why   string   `json:"why,omitempty"`  // what it is kept for still
	Left  []string `json:"left,omitempty"` // ids under which parts of it are kept now
}

// ReplayKept has another go at what is kept under the id. What is taken is kept no
// more, and the journal says so; what is not stays, and Why says why. It may be
// repeated at any time: what was taken before is recognised.
func (g *Guard) ReplayKept(ctx context.Context, id, by string, through Door) (Replayed, error) {
	k, err := g.FindKept(ctx, id)
	switch {
	case err != nil:
		return Replayed{ID: id}, err
	case k.note != nil:
		return g.tellAgain(ctx, k, by)
	case k.listed.Key != "":
		return Replayed{ID: id, Why: k.Reason}, nil
	case k.Cut:
		return Replayed{ID: id, Why: fmt.Sprintf("only the first %d of its %d bytes are kept, for a row holds no more: have its sender send it again, then drop it", len(k.Body), k.Size)}, nil
	}
	in := &Retake{g: g}
	err = through(ctx, in, k.Source, k.Body)
	if fault.Is(err, fault.Invalid) {
		return Replayed{ID: id, Why: err.Error()}, nil
	}
	if err != nil {
		return Replayed{ID: id}, asRecordError(err)
	}
	out := Replayed{ID: id, Taken: true}
	for _, l := range in.left {
		part := poisonID(canonical.Hash(l.raw))
		if part == id { // as unreadable as before
			out.Taken, out.Why = false, l.reason
			continue
		}
		if err := g.Poison(ctx, l.source, l.reason, l.raw); err != nil {
			return Replayed{ID: id}, err
		}
		out.Left = append(out.Left, part)
	}
	if !out.Taken {
		return out, nil
	}
	text := "replayed by " + alert.Clean(by, 100) + ": taken in by " + k.Source
	if len(out.Left) > 0 {
		text += fmt.Sprintf("; %d parts of it are kept on their own", len(out.Left))
	}
	return out, g.letGo(ctx, k, text)
}

// DropKept gives up what is kept under the id. The journal keeps who did, why, and
// the hash of what it was.
func (g *Guard) DropKept(ctx context.Context, id, by, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return fault.New(fault.Invalid, "guard.DropKept", "no reason is given: want a text, for the record")
	}
	k, err := g.FindKept(ctx, id)
	if err != nil {
		return err
	}
	return g.letGo(ctx, k, "dropped by "+alert.Clean(by, 100)+": "+clip(alert.Clean(reason, 500), 500))
}

// letGo deletes what is kept, together with its entry.
func (g *Guard) letGo(ctx context.Context, k Kept, text string) error {
	body := encode(struct {
		Kept
		SHA256 string `json:"sha256"` // of what was kept
	}{k, canonical.Hash(k.Body)})
	entry := journal.Entry{Kind: journal.KindPoison, Subject: "scope:" + k.Source, Ref: k.ID, Text: clip(text, 1000), Body: body}
	if k.note != nil {
		entry.Subject = k.note.Alert.Subject
	}
	err := g.commit(ctx, k.row.Partition, []journal.Entry{entry}, store.Op{Kind: store.Delete, Key: k.row.Key, ETag: k.row.ETag})
	if fault.Is(err, fault.Conflict) {
		return nil // somebody else did the same at the same moment
	}
	if err != nil {
		return err
	}
	if err := g.unlist(ctx, k); err != nil {
		return err
	}
	return g.tendSoon(ctx, k.row.Partition)
}

// unlist takes an alert's name off the list of those given up, unless it was given
// up anew meanwhile.
func (g *Guard) unlist(ctx context.Context, k Kept) error {
	if k.listed.Key == "" {
		return nil
	}
	_, err := g.State.Apply(ctx, alert.GivenUp, []store.Op{{Kind: store.Delete, Key: k.listed.Key, ETag: k.listed.ETag}})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return asRecordError(err)
}

// tellAgain makes an alert due that was given up. What tells of a problem that is
// over wakes nobody.
func (g *Guard) tellAgain(ctx context.Context, k Kept, by string) (Replayed, error) {
	out := Replayed{ID: k.ID}
	over, err := g.over(ctx, k)
	if err != nil {
		return out, err
	}
	if over != "" {
		out.Why = over
		return out, nil
	}
	n, what, err := alert.Again(*k.note, by, g.Now())
	if err != nil {
		return out, err
	}
	entry := journal.Entry{Kind: journal.KindReceipt, Subject: n.Alert.Subject, Ref: n.Alert.ID, Text: what}
	err = g.commit(ctx, k.row.Partition, []journal.Entry{entry}, putOp(k.row.Key, encode(n), k.row.ETag))
	if fault.Is(err, fault.Conflict) {
		out.Why = "somebody else replays or drops it at this moment: look again"
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.Taken = true
	if err := g.unlist(ctx, k); err != nil {
		return out, err
	}
	return out, g.tendSoon(ctx, k.row.Partition)
}

// over says why an alert is too late to be told, or "".
func (g *Guard) over(ctx context.Context, k Kept) (string, error) {
	a := k.note.Alert
	if a.Check == "" || a.Lifecycle != alert.Trigger && a.Lifecycle != alert.Update {
		return "", nil
	}
	row, ok, err := g.get(ctx, k.row.Partition, incident.RowKey(a.Check))
	if err != nil || !ok {
		return "", err
	}
	var i incident.Incident
	if err := json.Unmarshal(row.Value, &i); err != nil {
		return "", nil //nolint:nilerr // a damaged incident is no reason to tell nobody
	}
	switch {
	case i.State == incident.Resolved:
		return "the problem that it tells of is over since " + i.Changed.UTC().Format(time.RFC3339) + ": nobody is to be woken by it; drop it", nil
	case i.Opened.After(a.At):
		return "the problem that it tells of came to an end; the one since " + i.Opened.UTC().Format(time.RFC3339) + " has alerts of its own: drop it", nil
	}
	return "", nil
}

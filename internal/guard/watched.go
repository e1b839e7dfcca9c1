package guard

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// watchedRow keeps, in a key's partition, since when we look at the key. A version
// of unknown origin that is older was here before us, and nothing is claimed of it
// once every cluster uses it; one that was made under our eyes stays a stranger's,
// even if the event of it was lost and every cluster took it up before we looked.
const watchedRow = "watched"

// watchedSince returns since when we look at the key; zero: this is the first look.
func (g *Guard) watchedSince(ctx context.Context, k azureid.Key) (time.Time, error) {
	row, ok, err := g.get(ctx, keyPartition(k), watchedRow)
	var at time.Time
	if err != nil || !ok {
		return at, err
	}
	if err := json.Unmarshal(row.Value, &at); err != nil {
		return at, fault.New(fault.Invalid, "guard.watchedSince", "row %s of key %s: %w", watchedRow, k.ID(), err)
	}
	return at, nil
}

// noteWatched writes, with the first look's batch, that it was the first.
func (p *picture) noteWatched(subject event.Subject, b *batch) {
	if kp, ok := p.keys[subject.ID]; ok && subject.Kind == event.SubjectKey && kp.since.IsZero() {
		b.ops = append(b.ops, store.Op{Kind: store.Insert, Key: watchedRow, Value: encode(p.now.UTC())})
	}
}

// madeUnderOurEyes reports whether a version that was created then came after the
// first look.
func (k keyPicture) madeUnderOurEyes(created time.Time) bool {
	return !k.since.IsZero() && created.After(k.since.Add(skew))
}

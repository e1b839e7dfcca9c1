package hold

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

// Partition holds the silences.
const Partition = "silences"

// Longest is how long a silence lasts at most.
const Longest = 30 * 24 * time.Hour

const (
	silencePrefix = "silence~"
	hidPrefix     = "hid~"
	shownHidden   = 20 // titles that a silence keeps of what it hid
	keptIDs       = 64
	tries         = 10
	page          = 500
)

// Silence keeps alerts from people until it ends. It holds them, it does not drop
// them: what is still wrong when it ends is told then.
type Silence struct {
	Schema  int               `json:"schema"`
	ID      string            `json:"id"`
	Match   policy.AlertMatch `json:"match"`
	Owner   string            `json:"owner"`  // who answers for it
	Reason  string            `json:"reason"` // why
	By      string            `json:"by"`     // who added it, as far as that is proved
	Created time.Time         `json:"created"`
	Until   time.Time         `json:"until"`
	etag    string
}

// String names it as half a sentence.
func (s Silence) String() string {
	return fmt.Sprintf("silence %s of %s (%s)", s.ID, s.Owner, s.Reason)
}

// Check says what is wrong with a silence, as an Invalid fault.
func (s Silence) Check(now time.Time) error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "hold.Silence", format, args...)
	}
	switch {
	case strings.TrimSpace(s.Owner) == "":
		return bad("it has no owner: want who answers for it")
	case strings.TrimSpace(s.Reason) == "":
		return bad("it has no reason: want why, such as a change number")
	case s.Match.IsZero():
		return bad("it matches every alert: want at least one of severity, family, check, subscription, tag, vault, subject, lifecycle")
	case !s.Until.After(now):
		return bad("it ends at %s, which is past", s.Until.UTC().Format(time.RFC3339))
	case s.Until.Sub(now) > Longest:
		return bad("it ends in more than 30 days: want sooner; what is known for longer is an exemption of the policy")
	case !whole(s.Match) && (s.Match.MinSeverity == risk.Critical || slices.Contains(s.Match.Severities, risk.Critical)):
		return bad("critical alerts are silenced for a subject or a vault that is named whole, without *: want --subject or --vault")
	}
	return nil
}

// Covers reports whether it keeps the alert from people now. A critical one, or one
// whose severity is none, only if its subject or vault is named whole.
func (s Silence) Covers(f policy.AlertFacts, now time.Time) bool {
	severe := f.Severity == risk.Critical || f.Severity.Rank() == 0
	return now.Before(s.Until) && s.Match.Miss(f, now) == "" && (!severe || s.Match.Names(f))
}

// Silences reads all that are stored, also those that ended and were not told of yet.
func Silences(ctx context.Context, state store.State) ([]Silence, error) {
	var out []Silence
	for from := silencePrefix; ; {
		rows, err := state.Scan(ctx, Partition, from, silencePrefix+"~", page)
		if err != nil {
			return out, err
		}
		for _, row := range rows {
			s := Silence{etag: row.ETag}
			if json.Unmarshal(row.Value, &s) == nil { // one that cannot be read silences nothing
				out = append(out, s)
			}
		}
		if len(rows) < page {
			return out, nil
		}
		from = rows[len(rows)-1].Key + "-"
	}
}

// Instead returns the silence to be put in the place of one that was read.
func (s Silence) Instead(of Silence) Silence {
	s.etag = of.etag
	return s
}

// Put is the operation that stores it, in the place of the one that was read.
func (s Silence) Put() store.Op {
	if s.etag == "" {
		return store.Op{Kind: store.Insert, Key: silencePrefix + s.ID, Value: encode(s)}
	}
	return store.Op{Kind: store.Replace, Key: silencePrefix + s.ID, Value: encode(s), ETag: s.etag}
}

// Hidden is what a silence hid.
type Hidden struct {
	Count  int      `json:"count"`
	Titles []string `json:"titles"`        // of the first
	IDs    []string `json:"ids,omitempty"` // of the last deliveries, so that none counts twice
}

// Hid reads what the silence has kept back so far.
func (s Silence) Hid(ctx context.Context, state store.State) (Hidden, error) {
	h, _, err := readHidden(ctx, state, s.ID)
	return h, err
}

// End reads what the silence hid, and returns the operations that take both away.
func (s Silence) End(ctx context.Context, state store.State) (Hidden, []store.Op, error) {
	ops := []store.Op{{Kind: store.Delete, Key: silencePrefix + s.ID, ETag: s.etag}}
	h, etag, err := readHidden(ctx, state, s.ID)
	if err == nil && etag != "" {
		ops = append(ops, store.Op{Kind: store.Delete, Key: hidPrefix + s.ID, ETag: etag})
	}
	return h, ops, err
}

func readHidden(ctx context.Context, state store.State, id string) (h Hidden, etag string, err error) {
	row, ok, err := state.Get(ctx, Partition, hidPrefix+id)
	if err != nil || !ok {
		return h, "", err
	}
	if json.Unmarshal(row.Value, &h) != nil {
		h = Hidden{} // damaged: count anew
	}
	return h, row.ETag, nil
}

// hide counts a delivery that the silence keeps back, once.
func hide(ctx context.Context, state store.State, id string, n alert.Notification) error {
	for range tries {
		h, etag, err := readHidden(ctx, state, id)
		if err != nil || slices.Contains(h.IDs, n.ID) {
			return err
		}
		h.Count++
		if len(h.Titles) < shownHidden {
			h.Titles = append(h.Titles, n.Channel+": "+alert.Head(n.Alert))
		}
		h.IDs = append(h.IDs, n.ID)
		h.IDs = h.IDs[max(0, len(h.IDs)-keptIDs):]
		op := store.Op{Kind: store.Insert, Key: hidPrefix + id, Value: encode(h)}
		if etag != "" {
			op.Kind, op.ETag = store.Replace, etag
		}
		if _, err = state.Apply(ctx, Partition, []store.Op{op}); !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return fault.New(fault.Transient, "hold.hide", "silence %s is too busy", id)
}

// encode gives the canonical JSON of our own plain structs, which cannot fail.
func encode(v any) []byte {
	raw, err := canonical.JSON(v)
	if err != nil {
		return []byte("null") // unreachable: no channel, func or float is in them
	}
	return raw
}

package loss

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Most is how many facts of a day are matched; where there were more, the statement
// says so and claims nothing.
const Most = 20_000

// Day is what is known of a day when it is stated.
type Day struct {
	Date   string    // 2006-01-02, UTC
	From   time.Time // since when we watch, if that was during the day
	Closed time.Time // zero: it is stated before its close, and may still change
	Facts  []Fact    // of the day and of the two days beside it: what two sources date differently is matched
	Over   bool      // more than Most were told
	Found  []Found   // what sweeps found changed, explained
	Vaults []string  // of the keys in use: azureid.Resource.Key
	Heard  []string  // those of which the log told anything at all
}

// Concerns reports whether a fact is of the day, or may be the counterpart of one that
// is: whether it was worked on matters only then.
func (d Day) Concerns(f Fact) bool {
	start, err := time.Parse(time.DateOnly, d.Date)
	return err == nil && !f.At.Before(start.Add(-Near)) && !f.At.After(start.AddDate(0, 0, 1).Add(Near))
}

// Statement is a day's account: what was expected, and what was handled.
type Statement struct {
	Schema   int       `json:"schema"`
	Date     string    `json:"date"`
	From     time.Time `json:"from,omitzero"`
	Closed   time.Time `json:"closed,omitzero"` // zero: so far
	Accounts []Account `json:"accounts"`
	// Found are changes that only a sweep found: no source told of them.
	Found []Found `json:"found"`
	// Silent are vaults of keys in use of which the log told nothing: there what Event
	// Grid lost is not known.
	Silent []string `json:"silent"`
	Over   bool     `json:"over,omitempty"`
}

// Account is one source's.
type Account struct {
	Source   string `json:"source"`
	Expected int    `json:"expected"`
	// Unknown is why Expected is not known, or not of everything; then a Lost of none
	// says nothing. "": it is known.
	Unknown string `json:"unknown,omitempty"`
	Handled int    `json:"handled"` // came, and was worked on
	Late    int    `json:"late"`    // of those that came
	Worst   int64  `json:"worst"`   // seconds: the longest that one took to come
	Lost    []Gap  `json:"lost"`    // never came
	Waiting []Gap  `json:"waiting"` // came, and was not worked on
}

// Gap names one thing that was told by one source and not by another, or not worked
// on.
type Gap struct {
	Kind    string    `json:"kind"`
	Vault   string    `json:"vault"`
	Key     string    `json:"key,omitempty"`
	Version string    `json:"version,omitempty"`
	At      time.Time `json:"at"`
	By      string    `json:"by"` // who told of it
	ID      string    `json:"id"` // by its own id
}

// String tells the gap in a line.
func (g Gap) String() string {
	what := g.Kind + " of vault " + g.Vault[strings.LastIndexByte(g.Vault, '/')+1:]
	if g.Key != "" {
		what += ", key " + g.Key
	}
	if g.Version != "" {
		what += " version " + g.Version
	}
	return fmt.Sprintf("%s at %s (told by %s as %s)", what, g.At.UTC().Format(time.RFC3339), g.By, g.ID)
}

// State accounts for the day.
func State(d Day) Statement {
	s := Statement{Schema: 1, Date: d.Date, From: d.From.UTC(), Closed: d.Closed.UTC(), Over: d.Over, Found: []Found{}, Silent: []string{}}
	heard := map[string]bool{}
	for _, v := range d.Heard {
		heard[v] = true
	}
	for _, v := range d.Vaults {
		if !heard[v] {
			s.Silent = append(s.Silent, v)
		}
	}
	grid, logs := &Account{Source: Grid, Lost: []Gap{}, Waiting: []Gap{}}, &Account{Source: Logs, Lost: []Gap{}, Waiting: []Gap{}}
	for _, p := range match(d.Facts) {
		if p.day() == d.Date {
			grid.take(p.grid, p.log, p.log == nil || !p.log.Weak)
			logs.take(p.log, p.grid, p.grid == nil || heard[p.grid.Vault] && !p.grid.Weak)
		}
	}
	grid.Unknown, logs.Unknown = s.blind(len(d.Vaults), "the log told nothing of"), s.blind(len(d.Vaults), "nothing is expected of the log of")
	for _, f := range d.Found {
		if f.Told == nil {
			s.Found = append(s.Found, f)
		}
	}
	resource := Account{Source: Resource, Lost: []Gap{}, Waiting: []Gap{}, Unknown: "it has no second witness: what was lost shows only in what a sweep finds"}
	s.Accounts = []Account{*grid, *logs, resource}
	return s
}

// day is the earlier of the two: the same, whichever day is stated.
func (p pair) day() string {
	switch {
	case p.grid == nil:
		return p.log.Day()
	case p.log == nil || p.grid.At.Before(p.log.At):
		return p.grid.Day()
	}
	return p.log.Day()
}

// take accounts for one pair: mine is what this source told, the other what its
// witness did. missed is whether this source's silence counts.
func (a *Account) take(mine, other *Fact, missed bool) {
	switch {
	case mine == nil && !missed:
		return
	case mine == nil:
		a.Expected++
		a.Lost = append(a.Lost, gapOf(other))
		return
	}
	a.Expected++
	if mine.late() {
		a.Late++
	}
	a.Worst = max(a.Worst, int64(mine.took()/time.Second))
	if mine.Done {
		a.Handled++
	} else {
		a.Waiting = append(a.Waiting, gapOf(mine))
	}
}

func gapOf(f *Fact) Gap {
	return Gap{Kind: string(f.Kind), Vault: f.Vault, Key: f.Key, Version: f.Version, At: f.At, By: f.Source, ID: f.ID}
}

// blind says why the statement cannot know what was expected; "" if it can.
func (s Statement) blind(vaults int, what string) string {
	switch n := len(s.Silent); {
	case s.Over:
		return fmt.Sprintf("more than %d events came: not all were matched", Most)
	case vaults == 0:
		return "no vault of a key in use is known yet"
	case n == vaults:
		return "the second witness is missing: the vaults' logs do not reach us (function vaultlogs)"
	case n > 0:
		return fmt.Sprintf("%s %d of %d vaults: %s", what, n, vaults, names(s.Silent))
	case !s.From.IsZero() && s.From.Format(time.DateOnly) == s.Date:
		return "we watch since " + s.From.Format(time.RFC3339)
	}
	return ""
}

// names lists the last parts of ids, at most five.
func names(ids []string) string {
	var out []string
	for _, id := range ids[:min(len(ids), 5)] {
		out = append(out, id[strings.LastIndexByte(id, '/')+1:])
	}
	slices.Sort(out)
	if len(ids) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(out, ", "), len(ids)-5)
	}
	return strings.Join(out, ", ")
}

// Gaps counts what a statement holds against its sources.
func (s Statement) Gaps() int {
	n := len(s.Found)
	for _, a := range s.Accounts {
		n += len(a.Lost) + len(a.Waiting)
	}
	return n
}

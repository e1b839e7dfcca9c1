package loss

import (
	"cmp"
	"slices"
)

// pair is what two sources told of one thing; the one that did not is nil.
type pair struct{ grid, log *Fact }

// match pairs what was told: each fact is in exactly one pair. Of two facts that may
// be the same thing, versions that both name must be equal, then keys; a source that
// does not name one may be paired with any. Within that, the earliest are paired
// first, which leaves as few alone as can be.
func match(facts []Fact) []pair {
	order := make([]*Fact, 0, len(facts))
	for i := range facts {
		order = append(order, &facts[i])
	}
	slices.SortStableFunc(order, func(a, b *Fact) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Source, b.Source), cmp.Compare(a.ID, b.ID))
	})
	var out []pair
	for _, level := range []func(*Fact) (string, bool){
		func(f *Fact) (string, bool) { return f.Key + "/" + f.Version, f.Version != "" || aboutVault(f) },
		func(f *Fact) (string, bool) { return f.Key, f.Key != "" && (f.Version == "" || f.Source == Grid) },
		func(f *Fact) (string, bool) { return f.Key, f.Key != "" && (f.Version == "" || f.Source == Logs) },
		func(f *Fact) (string, bool) { return "", f.Key == "" || f.Source == Grid },
		func(f *Fact) (string, bool) { return "", f.Key == "" || f.Source == Logs },
	} {
		var paired []pair
		paired, order = matchBy(order, level)
		out = append(out, paired...)
	}
	for _, f := range order {
		if f.Source == Grid {
			out = append(out, pair{grid: f})
		} else {
			out = append(out, pair{log: f})
		}
	}
	return out
}

// aboutVault reports whether the fact's kind names no key.
func aboutVault(f *Fact) bool { return f.Key == "" && f.Version == "" }

// matchBy pairs facts of one name, as far as by names them; the rest is returned in
// its order.
func matchBy(order []*Fact, by func(*Fact) (string, bool)) (paired []pair, rest []*Fact) {
	type queue struct{ grid, log []*Fact }
	waiting := map[string]*queue{}
	gone := map[*Fact]bool{}
	for _, f := range order {
		name, ok := by(f)
		if !ok {
			continue
		}
		name = string(f.Kind) + "|" + f.Vault + "|" + name
		q := waiting[name]
		if q == nil {
			q = &queue{}
			waiting[name] = q
		}
		mine, others := &q.grid, &q.log
		if f.Source == Logs {
			mine, others = others, mine
		}
		for len(*others) > 0 && f.At.Sub((*others)[0].At) > Near {
			*others = (*others)[1:]
		}
		if len(*others) == 0 {
			*mine = append(*mine, f)
			continue
		}
		p := pair{f, (*others)[0]}
		if f.Source == Logs {
			p = pair{p.log, f}
		}
		*others = (*others)[1:]
		paired = append(paired, p)
		gone[p.grid], gone[p.log] = true, true
	}
	for _, f := range order {
		if !gone[f] {
			rest = append(rest, f)
		}
	}
	return paired, rest
}

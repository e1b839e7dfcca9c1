package azuresim

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
)

func (p *kqlParser) stage(q *kqlQuery) error {
	var stage kqlStage
	var err error
	switch word := p.next().text; word {
	case "where":
		stage, err = p.where()
	case "extend":
		stage, _, err = p.assign(true)
	case "project":
		stage, q.Columns, err = p.assign(false)
	case "order", "sort":
		stage, err = p.orderBy()
	case "take", "limit":
		stage, err = p.limit()
	default:
		err = p.errorf("operator %q is not known here", word)
	}
	if err == nil {
		q.Stages = append(q.Stages, stage)
	}
	return err
}

func (p *kqlParser) where() (kqlStage, error) {
	cond, err := p.expr()
	if err != nil {
		return nil, err
	}
	return func(rows []kqlRow) []kqlRow {
		var out []kqlRow
		for _, r := range rows {
			if cond(r) == true {
				out = append(out, r)
			}
		}
		return out
	}, nil
}

// assign parses `name = expr, ...`, where a bare column stands for itself.
// extend keeps the other columns; project drops them.
func (p *kqlParser) assign(keep bool) (kqlStage, []string, error) {
	var names []string
	var exprs []kqlExpr
	for ok := true; ok; ok = p.take(",") {
		name := p.next()
		if name.kind != 'w' {
			return nil, nil, p.errorf("want a column name, not %q", name.text)
		}
		if !p.take("=") {
			p.at--
		}
		e, err := p.expr()
		if err != nil {
			return nil, nil, err
		}
		names, exprs = append(names, name.text), append(exprs, e)
	}
	return func(rows []kqlRow) []kqlRow {
		out := make([]kqlRow, 0, len(rows))
		for _, r := range rows {
			made := kqlRow{}
			if keep {
				made = maps.Clone(r)
			}
			// Every right side sees the row as it was before this stage.
			for i, name := range names {
				made[name] = exprs[i](r)
			}
			out = append(out, made)
		}
		return out
	}, names, nil
}

func (p *kqlParser) orderBy() (kqlStage, error) {
	if err := p.expect("by"); err != nil {
		return nil, err
	}
	key, err := p.expr()
	if err != nil {
		return nil, err
	}
	// The language sorts downwards unless told otherwise ([doc]).
	sign := -1
	if p.take("asc") {
		sign = 1
	} else {
		p.take("desc")
	}
	return func(rows []kqlRow) []kqlRow {
		sorted := slices.Clone(rows)
		slices.SortStableFunc(sorted, func(a, b kqlRow) int { return sign * cmp.Compare(kqlString(key(a)), kqlString(key(b))) })
		return sorted
	}, nil
}

func (p *kqlParser) limit() (kqlStage, error) {
	n, err := strconv.Atoi(p.next().text)
	if err != nil {
		return nil, p.errorf("want a number of rows")
	}
	return func(rows []kqlRow) []kqlRow { return rows[:min(n, len(rows))] }, nil
}

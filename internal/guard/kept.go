package guard

import (
	"context"

	"cmkguard/internal/self"
)

// DeadLetters is where Event Grid puts what it gave up delivering to us (Letters).
type DeadLetters interface {
	// Count counts them, at most that many.
	Count(ctx context.Context, most int) (int, error)
}

// countDeadLetters counts to one more than the limit.
func (g *Guard) countDeadLetters(ctx context.Context) self.Count {
	most := g.Policy.Limits.DeadLetters + 1
	n, err := g.Watch.DeadLetters.Count(ctx, most)
	return counted("list of the dead-letter container", n, most, err, g)
}

// countKept counts what is kept as poison, to one more than the limit: each row may
// be a third of a megabyte.
func (g *Guard) countKept(ctx context.Context) self.Count {
	most := g.Policy.Limits.KeptInput + 1
	rows, err := g.State.Scan(ctx, poisonPartition, "poison~", "poison~~", most)
	return counted("state partition poison", len(rows), most, err, g)
}

func counted(call string, n, most int, err error, g *Guard) self.Count {
	c := self.Count{N: n, More: n >= most, Call: call, At: g.Now()}
	if err != nil {
		c.Why = err.Error()
	}
	return c
}

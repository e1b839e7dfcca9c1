package guard

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
)

// Watch says how this installation watches itself. Its zero value: not at all.
type Watch struct {
	// Beats: the sweep looks after ourselves and writes a heartbeat, and every other
	// path notices when that stays away.
	Beats       bool
	DeadLetters DeadLetters // nil: nobody looks there (SELF-002)
	Remediator  Identity    // nil: what it may do is not asked (SELF-006)
	Rights      OwnRights   // nil: nobody asks what our identities may do (SELF-021, SELF-022)
	Clock       Clock       // nil: ours is not compared (SELF-010)
	// Subscriptions are the ids of those that are watched (SELF-001; what is open about
	// one is shown by Health).
	Subscriptions []string
	// Losses: what each source tells is matched with what others tell, day by day
	// (LOSS-001 and so on).
	Losses bool
}

// Clock compares our clock with others'.
type Clock interface {
	// Offset is how far the others are ahead of us, as compared at a time; ok is false
	// where nothing was compared lately.
	Offset() (off time.Duration, at time.Time, ok bool)
}

// applySelf brings incidents about ourselves up to date, one batch per subject,
// and returns the partitions that it may have written to. A conflict is another
// worker that was faster: what it missed is judged again.
func (g *Guard) applySelf(ctx context.Context, verdicts ...risk.Verdict) (touched []string, err error) {
	of := map[event.Subject][]risk.Verdict{}
	var order []event.Subject
	for _, v := range verdicts {
		if of[v.Subject] == nil {
			order = append(order, v.Subject)
		}
		of[v.Subject] = append(of[v.Subject], v)
	}
	for _, subject := range order {
		p := &picture{signal: lookAt(subject, azureid.Key{}), now: g.Now()}
		b, partition := &batch{}, incident.Partition(subject)
		for _, v := range of[subject] {
			if err := g.applyVerdict(ctx, p, partition, v, doing{}, b); err != nil {
				return touched, err
			}
		}
		if len(b.ops) == 0 {
			continue
		}
		touched = append(touched, partition)
		if err := g.commit(ctx, partition, b.entries, b.ops...); err != nil && !fault.Is(err, fault.Conflict) {
			return touched, err
		}
	}
	return touched, nil
}

// unasked ends an incident about ourselves that the policy does not ask about any more:
// it is over, and nobody says that it is mended.
func (g *Guard) unasked(ctx context.Context, check string, subject event.Subject, why string) error {
	partition := incident.Partition(subject)
	row, ok, err := g.get(ctx, partition, incident.RowKey(check))
	var was incident.Incident
	if err != nil || !ok || json.Unmarshal(row.Value, &was) != nil { // damaged: the next verdict says so
		return err
	}
	p, b := &picture{signal: lookAt(subject, azureid.Key{}), now: g.Now()}, &batch{}
	g.end(p, was, row.ETag, "not asked: "+why, []risk.Evidence{{Call: "policy", At: p.now.UTC(), Value: why}}, b)
	if len(b.ops) == 0 {
		return nil
	}
	if err := g.commit(ctx, partition, b.entries, b.ops...); !fault.Is(err, fault.Conflict) {
		return err
	}
	return nil // somebody else judged it; the next look ends it
}

// Started settles, once at each start, whether settings and policy are in force
// (SELF-011). If that cannot be recorded, people are told directly.
func (g *Guard) Started(ctx context.Context) error {
	v := self.JudgeSettings(g.Observe, g.Now())
	touched, err := g.applySelf(ctx, v)
	if err != nil && v.Answer == risk.Broken {
		i, change := incident.Next(nil, v, g.Now())
		if a, ok := g.incidentAlert(&picture{now: g.Now()}, i, change); ok {
			g.tellDirectly(ctx, a)
		}
	}
	if g.Watch.Rights != nil {
		err = errors.Join(err, g.send(ctx, message{Kind: kindRights}, 0))
	}
	return errors.Join(err, g.tendSoon(ctx, touched...))
}

// tendSoon has the queue deliver what was just put into the outboxes, and seal what was
// just recorded: for paths that no sweep and no work follows.
func (g *Guard) tendSoon(ctx context.Context, partitions ...string) error {
	for _, p := range partitions {
		if err := g.send(ctx, message{Kind: kindTend, Partition: p}, 0); err != nil {
			return err
		}
	}
	return nil
}

// watchSelf is the sweep's look at ourselves, each minute: at what state alone
// tells.
func (g *Guard) watchSelf(ctx context.Context, load self.Load) error {
	if !g.Watch.Beats {
		return nil
	}
	b, err := g.readBeat(ctx)
	if err != nil {
		return err
	}
	var verdicts []risk.Verdict
	// That this one runs says nothing of those before it. By the last one's heartbeat
	// it may tell that all is well again; that it is not, the other paths tell.
	if v := self.JudgeBeat(b, true, "", g.Now()); v.Answer == risk.OK {
		verdicts = append(verdicts, v)
	}
	if load, err = g.load(ctx, load); err != nil {
		return err
	}
	verdicts = append(verdicts, self.JudgeLoad(load, g.Policy.Limits.BacklogAge, g.Now()))
	if g.Watch.Clock != nil {
		verdicts = append(verdicts, self.JudgeClock(g.Watch.Clock.Offset()))
	}
	_, err = g.applySelf(ctx, verdicts...)
	return err
}

// watchAround is the look at ourselves that goes with each reconcile: at what costs
// calls. What it could not read is among its verdicts; an error is the record's.
func (g *Guard) watchAround(ctx context.Context, run Survey) error {
	if !g.Watch.Beats {
		return nil
	}
	verdicts, err := g.judgeSights(ctx, run)
	if err != nil {
		return err
	}
	deaf, err := g.judgeHearings(ctx, run)
	if err != nil {
		return err
	}
	verdicts = append(append(verdicts, deaf...), self.JudgeKept(g.countKept(ctx), g.Policy.Limits.KeptInput))
	if g.Watch.DeadLetters != nil {
		verdicts = append(verdicts, self.JudgeDeadLetters(g.countDeadLetters(ctx), g.Policy.Limits.DeadLetters))
	}
	if g.Watch.Remediator != nil {
		rivals, err := g.judgeRivals(ctx, run)
		if err != nil {
			return err
		}
		verdicts = append(append(verdicts, g.judgeHands(ctx, run)), rivals...)
	}
	_, err = g.applySelf(ctx, verdicts...)
	return errors.Join(err, g.rightsDue(ctx))
}

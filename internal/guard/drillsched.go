package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/store"
)

// drillAgain is when a scheduled drill that did not get through is tried again.
const drillAgain = 6 * time.Hour

// drillTries is how often an exercise that could not read comes back within minutes.
const drillTries = 4

// drilled is what is kept of one scenario's exercises.
type drilled struct {
	Since     time.Time `json:"since"`     // when it was first to be run
	Succeeded time.Time `json:"succeeded"` // when one last got through
	Next      time.Time `json:"next"`
}

func drillRow(scenario string) string { return "drill~" + scenario }

func (g *Guard) drilledOf(ctx context.Context, scenario string) (d drilled, etag string, err error) {
	row, ok, err := g.get(ctx, selfPartition, drillRow(scenario))
	if err != nil {
		return d, "", err
	}
	if !ok || json.Unmarshal(row.Value, &d) != nil {
		d = drilled{Since: g.Now().UTC()}
	}
	return d, row.ETag, nil
}

// drillsDue has the policy's exercises run when their time has come, through the queue,
// and judges whether one is missed (SELF-031).
func (g *Guard) drillsDue(ctx context.Context) error {
	every := g.Policy.Drills.Every
	var missed []string
	for _, scenario := range g.Policy.Drills.Scenarios {
		d, etag, err := g.drilledOf(ctx, scenario)
		if err != nil {
			return err
		}
		last := d.Since
		if d.Succeeded.After(last) {
			last = d.Succeeded
		}
		if g.Now().Sub(last) > every+self.DrillSlack(every) {
			missed = append(missed, fmt.Sprintf("%s (none got through since %s)", scenario, last.Format(time.RFC3339)))
		}
		if g.Now().Before(d.Next) {
			continue
		}
		d.Next = g.Now().Add(min(every, drillAgain)).UTC()
		if err := g.putDrilled(ctx, scenario, d, etag); err != nil {
			return err
		}
		// After the row: a crash in between leaves one out until it is tried again.
		if err := g.send(ctx, message{Kind: kindDrill, ID: scenario}, 0); err != nil {
			return err
		}
	}
	_, err := g.applySelf(ctx, self.JudgeDrills(missed, every, g.Now()))
	return err
}

func (g *Guard) putDrilled(ctx context.Context, scenario string, d drilled, etag string) error {
	_, err := g.State.Apply(ctx, selfPartition, []store.Op{putOp(drillRow(scenario), encode(d), etag)})
	if fault.Is(err, fault.Conflict) { // another sweep has it run: this one comes again in a minute
		return fault.Wrap(fault.Transient, "guard.drillsDue", err)
	}
	return asRecordError(err)
}

// runDrill runs a scheduled exercise.
func (g *Guard) runDrill(ctx context.Context, scenario string, tries int) ([]string, error) {
	_, err := g.exercise(ctx, scenario, azureid.Resource{}, tries >= drillTries)
	return []string{selfPartition}, err
}

// recordDrill writes what an exercise came to, and tells people, for real, of one that
// did not get through.
func (g *Guard) recordDrill(ctx context.Context, r DrillResult) error {
	d, etag, err := g.drilledOf(ctx, r.Scenario)
	if err != nil {
		return err
	}
	text := "drill " + r.Scenario + " got through"
	ops := []store.Op{}
	if r.Passed {
		d.Succeeded, d.Next = r.Ended, r.Ended.Add(g.Policy.Drills.Every)
	} else {
		text = "drill " + r.Scenario + " did not get through: " + r.failure()
		ops = g.outbox(g.drillAlert(r))
	}
	entry := journal.Entry{Kind: journal.KindDrill, Subject: "scope:cmkguard", Ref: r.ID, Text: clip(text, 1000), Body: encode(r)}
	return g.commit(ctx, selfPartition, []journal.Entry{entry}, append(ops, putOp(drillRow(r.Scenario), encode(d), etag))...)
}

// failure names the stages that were not reached.
func (r DrillResult) failure() string {
	var out []string
	for _, s := range r.Stages {
		if !s.Reached {
			out = append(out, s.Name+": "+s.Text)
		}
	}
	return strings.Join(out, "; ")
}

func (g *Guard) drillAlert(r DrillResult) alert.Alert {
	return alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/self/drill/" + r.Scenario, GroupKey: "self", Lifecycle: alert.Notice, Severity: risk.High,
		Title: "An exercise did not get through: " + r.Scenario, What: clip(r.failure(), 1000), Subject: "scope:cmkguard", Since: r.Began, Ref: r.ID,
		Breaks: "the same may happen when it is no exercise",
		Next:   []string{"Mend what is named, and run it again: cmkguard drill " + r.Scenario},
	}
}

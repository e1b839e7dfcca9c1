package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/plan"
	"cmkguard/internal/store"
)

// plansPartition finds a plan by its id: the row's value is its partition.
const plansPartition = "plans"

func approvalRow(d approval.Decision) string {
	return "approval~" + store.Name("decision", d.Matter+"|"+d.By.Object)
}

func noteEntry(subject, ref, text string) []journal.Entry {
	return []journal.Entry{{Kind: journal.KindNote, Subject: subject, Ref: ref, Text: clip(text, 1000)}}
}

// Held is a stored plan with what the gates last said.
type Held struct {
	Plan      plan.Plan     `json:"plan"`
	SHA256    string        `json:"sha256"`
	Rulings   []plan.Ruling `json:"rulings"`
	Started   bool          `json:"started"`
	Causes    []string      `json:"causes,omitempty"`
	Partition string        `json:"-"`
	// What only Find adds.
	At          time.Time           `json:"at,omitzero"`           // when it was read
	Fingerprint string              `json:"fingerprint,omitempty"` // what an answer is bound to
	ValidFor    time.Duration       `json:"validFor,omitempty"`    // how long an answer counts
	Problems    []Problem           `json:"problems,omitempty"`    // that the plan would mend, the worst first
	Decisions   []approval.Decision `json:"decisions,omitempty"`   // genuine ones on this plan, counting or not
}

// Find returns the stored plan with the id.
func (g *Guard) Find(ctx context.Context, id string) (Held, error) {
	const op = "guard.Find"
	row, ok, err := g.get(ctx, plansPartition, id)
	if err != nil {
		return Held{}, err
	}
	if !ok {
		return Held{}, fault.New(fault.Invalid, op, "no plan %q is stored: want an id as the alert has it", clip(id, 100))
	}
	partition := string(row.Value)
	old, err := g.storedPlan(ctx, partition, id)
	if err != nil {
		return Held{}, err
	}
	if old.planETag == "" { // found by its name before it was written, or never written
		return Held{}, fault.New(fault.Invalid, op, "plan %s is not stored yet", id)
	}
	h := Held{SHA256: old.plan.SHA256, Rulings: old.plan.Rulings, Started: old.plan.Started, Causes: old.plan.Causes, Partition: partition}
	if err := json.Unmarshal(old.plan.Plan, &h.Plan); err != nil {
		return Held{}, fault.New(fault.Invalid, op, "plan %s: %w", id, err)
	}
	return h, g.addWhy(ctx, &h)
}

// Decide records what a proven person decided about a plan as it stands now, and
// has the plan looked at again. Who is said to have caused the problem cannot
// approve: that is refused as Denied, and recorded.
func (g *Guard) Decide(ctx context.Context, id string, kind approval.Kind, by approval.Person, reason string) (approval.Decision, error) {
	h, err := g.Find(ctx, id)
	if err != nil {
		return approval.Decision{}, err
	}
	if kind == approval.Approve {
		if err := g.mayApprove(ctx, h, by); err != nil {
			return approval.Decision{}, err
		}
	}
	sum, err := h.Plan.Fingerprint()
	if err != nil {
		return approval.Decision{}, err
	}
	d := approval.Decision{
		Schema: 1, Matter: id, Hash: sum, Kind: kind, By: by, At: g.Now().UTC(), Reason: clip(reason, 500),
		Expires: g.Now().Add(g.Policy.Approvals.ValidFor).UTC(),
	}
	return g.record(ctx, h.Partition, h.Plan.Subject, h.Plan.Key, d)
}

func (g *Guard) mayApprove(ctx context.Context, h Held, by approval.Person) error {
	why := ""
	switch {
	case h.Started:
		why = "it was started already"
	case causeOf(h.Causes, by.Object):
		why = "who is said to have caused the problem cannot approve its repair"
	default:
		return nil
	}
	entry := noteEntry(h.Plan.Subject.String(), h.Plan.ID, fmt.Sprintf("approval by %s (object id %s) refused: %s", by.Name, by.Object, why))
	if err := g.commit(ctx, h.Partition, entry); err != nil {
		return err
	}
	return fault.New(fault.Denied, "guard.Decide", "plan %s: %s", h.Plan.ID, why)
}

// Stand records a standing approval: one remedy for one key, until it expires. It
// needs the answers of two people.
func (g *Guard) Stand(ctx context.Context, remedy string, k azureid.Key, by approval.Person, validFor time.Duration, reason string) (approval.Decision, error) {
	const op = "guard.Stand"
	switch {
	case !plan.Repair(remedy):
		return approval.Decision{}, fault.New(fault.Invalid, op, "%q is no remedy that waits for approvals", clip(remedy, 50))
	case validFor <= 0 || validFor > approval.MaxStanding:
		return approval.Decision{}, fault.New(fault.Invalid, op, "a standing approval holds for 1 to 90 days, not %s", validFor)
	}
	return g.onKey(ctx, approval.Decision{Matter: plan.StandingMatter(remedy, k), By: by, Reason: reason}, k, validFor)
}

// Erase records that a person wants the key erased for good. With two people's answers
// nothing rescues the key any more; it is never deleted by us.
func (g *Guard) Erase(ctx context.Context, k azureid.Key, by approval.Person, reason string) (approval.Decision, error) {
	const forGood = 10 * 365 * 24 * time.Hour
	var versions []string
	for _, v := range g.Vault.Versions(ctx, k).Value { // none, if the key is deleted already
		versions = append(versions, v.Key.Version)
	}
	d := approval.Decision{Matter: plan.EraseMatter(k), By: by, Reason: reason, Versions: strings.Join(versions, ",")}
	return g.onKey(ctx, d, k, forGood)
}

func (g *Guard) onKey(ctx context.Context, d approval.Decision, k azureid.Key, validFor time.Duration) (approval.Decision, error) {
	d.Schema, d.Kind, d.At, d.Expires, d.Reason = 1, approval.Approve, g.Now().UTC(), g.Now().Add(validFor).UTC(), clip(d.Reason, 500)
	return g.record(ctx, keyPartition(k), event.Subject{Kind: event.SubjectKey, ID: k.ID()}, k, d)
}

// record writes the sealed decision and its entry in one batch; a person's later answer
// takes the place of the earlier one.
func (g *Guard) record(ctx context.Context, partition string, subject event.Subject, k azureid.Key, d approval.Decision, more ...store.Op) (approval.Decision, error) {
	if d.By.Object == "" {
		return d, fault.New(fault.Denied, "guard.record", "nobody is proven to have decided")
	}
	d, err := g.People.Close(d)
	if err != nil {
		return d, err
	}
	row, _, err := g.get(ctx, partition, approvalRow(d))
	if err != nil {
		return d, err
	}
	entry := journal.Entry{
		Kind: journal.KindDecision, Subject: subject.String(), Ref: d.Matter, Body: encode(d),
		Text: clip(fmt.Sprintf("%s by %s (object id %s) until %s: %s", d.Kind, d.By.Name, d.By.Object, d.Expires.Format(time.RFC3339), d.Reason), 1000),
	}
	if err := g.commit(ctx, partition, []journal.Entry{entry}, append(more, putOp(approvalRow(d), encode(d), row.ETag))...); err != nil {
		return d, err
	}
	return d, g.send(ctx, lookMessage(subject, k), 0)
}

// Erasure is where the erasure of a key stands, by its record and live state.
func (g *Guard) Erasure(ctx context.Context, k azureid.Key) (approval.Standing, []approval.Decision, error) {
	pl := plan.Plan{Subject: event.Subject{Kind: event.SubjectKey, ID: k.ID()}, Key: k}
	ds, err := g.decisions(ctx, pl, []azureid.Key{k}, false)
	if err != nil {
		return approval.Standing{}, nil, err
	}
	var mine []approval.Decision
	for _, d := range ds {
		if d.Matter == plan.EraseMatter(k) {
			mine = append(mine, d)
		}
	}
	return approval.Judge(mine, plan.EraseMatter(k), "", approval.Need{Persons: 2}, g.Now()), mine, nil
}

package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/drill"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// DrillResult is what an exercise came to. It is kept in the journal, as evidence.
type DrillResult struct {
	Schema   int            `json:"schema"`
	ID       string         `json:"id"`
	Scenario string         `json:"scenario"`
	Cluster  string         `json:"cluster,omitempty"` // ARM id of the real cluster whose wiring was read
	Began    time.Time      `json:"began"`
	Ended    time.Time      `json:"ended"`
	Passed   bool           `json:"passed"`
	Stages   []DrillStage   `json:"stages"`
	Receipts []DrillReceipt `json:"receipts"`
}

// DrillStage is one part of the path.
type DrillStage struct {
	Name    string    `json:"name"`
	Reached bool      `json:"reached"`
	At      time.Time `json:"at"`
	Text    string    `json:"text"`
}

// DrillReceipt is one delivery of the exercise's alerts to one channel.
type DrillReceipt struct {
	Channel    string     `json:"channel"`
	Alert      string     `json:"alert"` // its title
	State      string     `json:"state"` // sent, pending, poison, held, ...
	SentAt     *time.Time `json:"sentAt,omitempty"`
	ProviderID string     `json:"providerId,omitempty"`
	Why        string     `json:"why,omitempty"` // it was not delivered
}

// maxDrillWork bounds the messages of one exercise.
const maxDrillWork = 60

// exercise is one run.
type exercise struct {
	g   *Guard // the real one
	dg  *Guard
	s   *stage
	q   *drillQueue
	sc  drill.Scenario
	out DrillResult
}

// Drill runs one exercise through the real path, with the last step simulated: nothing
// of Azure is written to, and nothing of it is taken for real. cluster is the cluster
// whose wiring is read; zero picks one. An error is the record's; an exercise that did
// not get through is a result.
func (g *Guard) Drill(ctx context.Context, scenario string, cluster azureid.Resource) (DrillResult, error) {
	return g.exercise(ctx, scenario, cluster, true)
}

// exercise is Drill; unless it is the last try, what could not be read is a Transient
// fault, and nothing was told yet.
func (g *Guard) exercise(ctx context.Context, scenario string, cluster azureid.Resource, lastTry bool) (DrillResult, error) {
	sc, ok := drill.Find(scenario)
	if !ok {
		return DrillResult{}, fault.New(fault.Invalid, "guard.Drill", "%q is no exercise", clip(scenario, 50))
	}
	s := &stage{id: g.NewID(), scenario: sc.Name, target: cluster, real: g.Survey, now: g.Now, before: sc.Before}
	x := &exercise{g: g, s: s, q: &drillQueue{}, sc: sc}
	x.dg = g.forDrill(s, sc.Check, x.q)
	x.out = DrillResult{Schema: 1, ID: s.id, Scenario: sc.Name, Began: g.Now().UTC(), Receipts: []DrillReceipt{}}
	var err error
	if sc.Name == drill.ChannelTest {
		err = x.channels(ctx)
	} else {
		err = x.play(ctx)
	}
	if n := len(x.out.Stages); err == nil && !lastTry && n > 0 && !x.out.Stages[n-1].Reached && x.out.Stages[n-1].Name != "alert" {
		err = fault.New(fault.Transient, "guard.Drill", "%s: %s", x.out.Stages[n-1].Name, x.out.Stages[n-1].Text)
	}
	if err != nil {
		return x.out, err
	}
	x.out.Ended = g.Now().UTC()
	x.out.Passed = !slices.ContainsFunc(x.out.Stages, func(s DrillStage) bool { return !s.Reached })
	return x.out, g.recordDrill(ctx, x.out)
}

func (x *exercise) reach(name string, ok bool, format string, args ...any) bool {
	x.out.Stages = append(x.out.Stages, DrillStage{Name: name, Reached: ok, At: x.g.Now().UTC(), Text: clip(fmt.Sprintf(format, args...), 300)})
	return ok
}

// play goes from the signal to the record, and back to where nothing is broken.
func (x *exercise) play(ctx context.Context) error {
	w := x.look(ctx)
	if w.ID.IsZero() {
		return nil
	}
	if taken, err := x.happen(ctx, w); err != nil || !taken {
		return err
	}
	i, ok, err := x.incident(ctx, w)
	if err != nil || !x.reach("verdict", ok, "%s %s: %s", x.sc.Check, i.Verdict.Answer, i.Verdict.Why) {
		return err
	}
	x.reach("incident", i.Episodes > 0, "%s, opened %s", i.State, i.Opened.Format(time.RFC3339))
	if err := x.plans(ctx); err != nil {
		return err
	}
	if err := x.lift(ctx, w, i.Subject); err != nil {
		return err
	}
	return x.deliver(ctx)
}

// happen lets the fault happen: its event comes in, and is worked on.
func (x *exercise) happen(ctx context.Context, w wiring.Wiring) (taken bool, err error) {
	if x.sc.Before { // seen on what it is pointed back from
		if err := x.send(ctx, lookMessage(event.Subject{Kind: event.SubjectCluster, ID: w.ID.Key()}, azureid.Key{})); err != nil {
			return false, err
		}
		x.s.set(func() { x.s.before = false })
	}
	raw, isLog := drill.Signal(w, x.sc.Name, "drill-"+x.s.id, x.g.Now())
	if isLog {
		_, err = x.dg.TakeLogs(ctx, "vaultlogs", [][]byte{raw})
	} else {
		err = x.dg.Take(ctx, "keyvaultevents", raw)
	}
	if err != nil || !x.reach("signal", len(x.q.bodies) > 0, "%d messages queued", len(x.q.bodies)) {
		return false, err
	}
	return true, x.work(ctx)
}

// lift ends the fault and looks again.
func (x *exercise) lift(ctx context.Context, w wiring.Wiring, subject event.Subject) error {
	x.s.set(func() { x.s.lifted = true })
	if err := x.send(ctx, lookMessage(subject, w.Key())); err != nil {
		return err
	}
	i, _, err := x.incident(ctx, w)
	if err != nil || x.sc.Before { // who wrote a cluster stays written, whatever comes after
		return err
	}
	own := slices.ContainsFunc(risk.Evaluate(w, x.g.Policy.Limits.Risk, x.g.Now()), func(v risk.Verdict) bool {
		return v.Check == x.sc.Check && v.Answer != risk.OK
	})
	text := map[bool]string{true: "; the chain has it by itself, and that is told for real"}[own]
	x.reach("end", own || i.State == incident.Resolved, "the fault was lifted: %s%s", i.State, text)
	return nil
}

// look picks the cluster and reads its wiring, live.
func (x *exercise) look(ctx context.Context) (w wiring.Wiring) {
	if x.s.target.IsZero() {
		all, _, why := x.g.Survey().Keyed(ctx)
		if len(all) == 0 {
			x.reach("look", false, "no cluster with a key of its own can be seen: %s", why)
			return w
		}
		slices.SortFunc(all, func(a, b wiring.Cluster) int { return strings.Compare(a.ID.Key(), b.ID.Key()) })
		x.s.target = all[int(x.g.Now().Unix()/(24*3600))%len(all)].ID // another one each day
	}
	x.out.Cluster = x.s.target.String()
	w = x.g.Survey().Wiring(ctx, x.s.target)
	read := w.Cluster.OK() && !w.Key().IsZero() && w.Vault.OK() && w.Versions.OK() && w.Identity.OK()
	if !x.reach("look", read, "%s: cluster %s, vault %s, versions %s, identity %s", w.ID.Name(), w.Cluster.State, w.Vault.State, w.Versions.State, w.Identity.State) {
		return wiring.Wiring{}
	}
	return w
}

func (x *exercise) send(ctx context.Context, m message) error {
	if err := x.dg.send(ctx, m, 0); err != nil {
		return err
	}
	return x.work(ctx)
}

// work empties the exercise's queue, as the function work does.
func (x *exercise) work(ctx context.Context) error {
	for range maxDrillWork {
		m := x.q.next()
		if m == nil {
			return nil
		}
		if err := x.dg.Work(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// incident finds the exercise's incident about the check, on any of the chain's subjects.
func (x *exercise) incident(ctx context.Context, w wiring.Wiring) (incident.Incident, bool, error) {
	subjects := []event.Subject{
		{Kind: event.SubjectKey, ID: w.Key().ID()}, {Kind: event.SubjectCluster, ID: w.ID.Key()}, {Kind: event.SubjectVault, ID: w.Vault.Value.ID.Key()},
	}
	if x.sc.Before { // the cluster was written, whatever lies on the key
		subjects = subjects[1:]
	}
	for _, s := range subjects {
		row, ok, err := x.dg.get(ctx, incident.Partition(s), incident.RowKey(x.sc.Check))
		if err != nil {
			return incident.Incident{}, false, err
		}
		var i incident.Incident
		if ok && json.Unmarshal(row.Value, &i) == nil && i.Episodes > 0 {
			return i, true, nil
		}
	}
	return incident.Incident{}, false, nil
}

// plans says what was planned, what the gates ruled, and what was simulated.
func (x *exercise) plans(ctx context.Context) error {
	rows, err := x.dg.State.Scan(ctx, plansPartition, "", "", 10)
	if err != nil {
		return asRecordError(err)
	}
	var said []string
	for _, row := range rows {
		old, err := x.dg.storedPlan(ctx, string(row.Value), row.Key)
		if err != nil {
			return err
		}
		text := row.Key[:strings.IndexByte(row.Key, '~')] + ": " + string(plan.Verdict(old.plan.Rulings))
		for _, r := range plan.Holding(old.plan.Rulings) {
			text += ", " + r.Gate + " (" + r.Reason + ")"
		}
		if old.saga != nil {
			text += ", carried out in simulation: " + string(old.saga.Phase)
		}
		said = append(said, text)
	}
	x.reach("plan and gates", len(said) > 0, "%s", strings.Join(said, "; "))
	return nil
}

// channels sends one message to every channel of the policy, whatever its routes.
func (x *exercise) channels(ctx context.Context) error {
	a := marked(alert.Alert{
		ID: x.g.NewID(), DedupKey: "channel-test", GroupKey: "self", Lifecycle: alert.Notice, Severity: risk.Info,
		Title: "An exercise: this channel is heard", Subject: "scope:cmkguard", Since: x.g.Now().UTC(), Ref: x.s.id,
		What: "Nothing happened. This message shows that what CMK Guard sends here arrives.",
	}, x.dg.drill.prefix)
	var names []string
	for _, c := range x.g.Policy.Channels {
		names = append(names, c.Name)
	}
	ops := alert.Rows(alert.Notifications(a, alert.To(names...), x.g.Now()))
	entry := noteEntry(a.Subject, x.s.id, "a message through every channel: "+strings.Join(names, ", "))
	if err := x.dg.commit(ctx, selfPartition, entry, ops...); err != nil {
		return err
	}
	return x.deliver(ctx)
}

// deliver sends what is in the exercise's outboxes and reads the receipts.
func (x *exercise) deliver(ctx context.Context) error {
	for _, partition := range x.s.written {
		if _, _, err := x.g.Alerts.Dispatch(ctx, partition); err != nil {
			return asRecordError(err)
		}
		if err := x.receipts(ctx, partition); err != nil {
			return err
		}
	}
	sent, failed := 0, []string{}
	for _, r := range x.out.Receipts {
		switch {
		case r.State == string(alert.Sent):
			sent++
		case r.Why != "":
			failed = append(failed, r.Channel+": "+r.Why)
		}
	}
	x.reach("alert", sent > 0 && len(failed) == 0, "%d deliveries with a receipt%s", sent, join("; not delivered: ", failed))
	return nil
}

func join(before string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	return before + strings.Join(list, ", ")
}

func (x *exercise) receipts(ctx context.Context, partition string) error {
	return x.g.each(ctx, partition, "outbox~", func(row store.Row) (bool, error) {
		var n alert.Notification
		if err := json.Unmarshal(row.Value, &n); err != nil {
			return false, fault.New(fault.Invalid, "guard.Drill", "%s: %w", row.Key, err)
		}
		r := DrillReceipt{Channel: n.Channel, Alert: n.Alert.Title, State: string(n.State), SentAt: n.SentAt, ProviderID: n.ProviderID, Why: n.LastError}
		if n.Held != nil {
			r.State = "held: " + n.Held.Why
		}
		x.out.Receipts = append(x.out.Receipts, r)
		return true, nil
	})
}

package guard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/loss"
	"cmkguard/internal/store"
)

// accounting is a world that accounts for what each source tells, a day after its start.
func accounting(t *testing.T, bare bool) *telling {
	dir, profile := served(t, azuresim.New(azuresim.Options{}))
	r := newTelling(t, dir, profile, "v1", false)
	if bare {
		r = newTellingOf(t, dir, profile, "v1", false, azuresim.Options{BareNotes: true})
	}
	r.all = true
	r.g.Watch, r.g.Reconcile = guard.Watch{Losses: true}, time.Hour
	r.through(24 * time.Hour)
	return r
}

// through lets time pass with a sweep every hour; what the world tells by itself
// (our own reads) comes by the log.
func (r *telling) through(d time.Duration) {
	r.t.Helper()
	hear := func() { r.bring(true, true) }
	for end := r.sim.Clock().Now().Add(d); r.sim.Clock().Now().Before(end); {
		must(r.t, r.g.Sweep(ctx))
		r.until(r.sim.Clock().Now().Add(time.Hour), hear)
	}
}

// bring delivers what was told, by the doors that are open.
func (r *telling) bring(grid, log bool) {
	for _, l := range r.collect() {
		if l.audit && log || !l.audit && grid {
			r.deliver(l, 0)
		}
	}
}

func (r *telling) losses(date string) loss.Statement {
	r.t.Helper()
	s, ok, err := r.g.Losses(ctx, date)
	must(r.t, err)
	if !ok {
		r.t.Fatalf("nothing is known of %s", date)
	}
	return s
}

func (s *telling) incident(check string, subject event.Subject) incident.State {
	row, ok, err := s.b.State.Get(ctx, incident.Partition(subject), "incident~"+check)
	must(s.t, err)
	var i incident.Incident
	if ok {
		must(s.t, json.Unmarshal(row.Value, &i))
	}
	return i.State
}

func vaultSubject() event.Subject {
	return event.Subject{Kind: event.SubjectVault, ID: strings.ToLower(root + "Microsoft.KeyVault/vaults/kv-a")}
}

// A day on which each source lost something and something was told by none: each gap
// is named, once, in the statement, in the journal and to people; the next clean day
// ends the incidents; what was noted is forgotten.
func TestADayIsStated(t *testing.T) {
	t.Parallel()
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprint("bare rows ", bare), func(t *testing.T) {
			t.Parallel()
			r := accounting(t, bare)
			policy := func(n int) {
				r.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Policies = make([]azuresim.AccessPolicy, n) })
			}
			policy(1) // both tell
			r.bring(true, true)
			r.through(2 * time.Hour)
			policy(2) // Event Grid loses its event
			r.bring(false, true)
			r.through(2 * time.Hour)
			r.sim.CreateVersion(r.key, azuresim.KeyOptions{}) // the log loses its record
			r.bring(true, false)
			r.through(2 * time.Hour)
			policy(3) // Event Grid is three hours late
			late := r.collect()
			for _, l := range late {
				if l.audit {
					r.deliver(l, 0)
				}
			}
			r.through(3 * time.Hour)
			for _, l := range late {
				if !l.audit {
					r.deliver(l, 0)
				}
			}
			r.through(time.Hour)
			r.sim.ChangeVersion(r.key, func(v *azuresim.Version) { v.Enabled = false }) // nobody tells
			r.bring(false, false)
			r.through(2 * time.Hour)
			if s := r.losses("2026-11-02"); !s.Closed.IsZero() || s.Gaps() == 0 {
				t.Fatalf("before its close: %+v", s)
			}
			r.through(65 * time.Hour)
			checkDay(t, r)
		})
	}
}

func checkDay(t *testing.T, r *telling) {
	t.Helper()
	s := r.losses("2026-11-02")
	grid, logs := s.Accounts[0], s.Accounts[1]
	if s.Closed.IsZero() || grid.Expected != 4 || grid.Handled != 3 || grid.Late != 1 || grid.Worst < 3*3600 || len(grid.Lost) != 1 || grid.Unknown != "" {
		t.Errorf("Event Grid: %+v", grid)
	}
	if logs.Expected != 4 || logs.Handled != 3 || logs.Late != 0 || len(logs.Lost) != 1 || len(logs.Waiting)+len(grid.Waiting) != 0 {
		t.Errorf("the log: %+v", logs)
	}
	if len(grid.Lost) == 1 && (grid.Lost[0].Kind != string(event.AccessPolicyChanged) || grid.Lost[0].By != loss.Logs) || len(logs.Lost) == 1 && (logs.Lost[0].Key != "kek" || logs.Lost[0].By != loss.Grid) {
		t.Errorf("%v, %v", grid.Lost, logs.Lost)
	}
	if len(s.Found) != 1 || s.Found[0].Check != "CMK-011" {
		t.Errorf("found only by a sweep: %+v", s.Found)
	}
	for check, text := range map[string]string{"LOSS-001": "access-policy-changed of vault kv-a", "LOSS-002": "key-new-version of vault kv-a, key kek", "LOSS-003": "CMK-011"} {
		n := 0
		for _, a := range r.told.all {
			if a.Check == check && strings.Contains(a.What, text) && a.Lifecycle == "trigger" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s was told %d times", check, n)
		}
	}
	// The days after were clean.
	if a, b, c := r.incident("LOSS-001", vaultSubject()), r.incident("LOSS-002", vaultSubject()), r.incident("LOSS-003", event.Subject{Kind: event.SubjectKey, ID: r.key.ID()}); a != incident.Resolved || b != incident.Resolved || c != incident.Resolved {
		t.Errorf("after a clean day: %s, %s, %s", a, b, c)
	}
	stated := map[string]int{}
	must(t, journal.Read(ctx, r.b.Log, 0, func(_ int64, e journal.Entry) error {
		if e.Kind == journal.KindStatement {
			stated[e.Ref]++
		}
		return nil
	}))
	if stated["losses 2026-11-02"] != 1 || stated["losses 2026-11-03"] != 1 {
		t.Errorf("in the journal: %v", stated)
	}
	for date, want := range map[string]bool{"2026-11-01": false, "2026-11-02": false, "2026-11-03": true} {
		rows, err := r.b.State.Scan(ctx, "loss~"+date, "", "", 10)
		must(t, err)
		if (len(rows) > 0) != want {
			t.Errorf("%d rows of %s are kept", len(rows), date)
		}
	}
	if p := r.verify(); len(p.Problems) > 0 {
		t.Error(p.Problems)
	}
}

// Where the log does not reach us there is no second witness: nothing is ok, and
// nothing is said to be lost by nobody.
func TestWithoutTheLogNothingIsKnown(t *testing.T) {
	t.Parallel()
	dir, profile := served(t, azuresim.New(azuresim.Options{}))
	r := newTelling(t, dir, profile, "v1", false)
	r.g.Watch, r.g.Reconcile = guard.Watch{Losses: true}, time.Hour
	r.sim.CreateVersion(r.key, azuresim.KeyOptions{})
	for range 60 {
		must(t, r.g.Sweep(ctx))
		r.until(r.sim.Clock().Now().Add(time.Hour), func() { r.bring(true, false) })
	}
	s := r.losses("2026-11-01")
	if s.Closed.IsZero() || !strings.Contains(s.Accounts[0].Unknown, "second witness is missing") || len(s.Silent) != 1 || s.Gaps() != 0 {
		t.Errorf("%+v", s)
	}
	if a, b := r.incident("LOSS-001", vaultSubject()), r.incident("LOSS-002", vaultSubject()); a != incident.Uncertain || b != incident.Uncertain {
		t.Errorf("%s, %s: unknown is never ok", a, b)
	}
}

// Wherever a sweep dies while it closes a day, the next one ends it, and the day is
// stated once.
func TestACloseThatDiesIsGoneOnWith(t *testing.T) {
	t.Parallel()
	r := accounting(t, false)
	r.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Policies = make([]azuresim.AccessPolicy, 1) })
	r.bring(false, true)
	r.through(24 * time.Hour)
	r.sim.Clock().Advance(26 * time.Hour)
	state, rec := r.g.State, r.g.Rec
	died := 0
	for n := 1; ; n++ {
		if n > 200 {
			t.Fatal("the day is never closed")
		}
		left := n
		r.g.State = dying{state, &left}
		r.g.Rec = journal.NewRecorder(r.g.State, "test", r.sim.Clock().Now)
		if r.g.Sweep(ctx) == nil {
			break
		}
		died++
	}
	r.g.State, r.g.Rec = state, rec
	r.through(time.Hour)
	stated := 0
	must(t, journal.Read(ctx, r.b.Log, 0, func(_ int64, e journal.Entry) error {
		if e.Kind == journal.KindStatement && e.Ref == "losses 2026-11-02" {
			stated++
		}
		return nil
	}))
	if stated != 1 || died < 5 || r.incident("LOSS-001", vaultSubject()) != incident.Open {
		t.Errorf("stated %d times after %d deaths; the gap is %s", stated, died, r.incident("LOSS-001", vaultSubject()))
	}
}

// dying refuses every write after some.
type dying struct {
	store.State
	left *int
}

func (d dying) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	if *d.left--; *d.left < 0 {
		return nil, fault.New(fault.Transient, "store", "killed")
	}
	return d.State.Apply(ctx, partition, ops)
}

// An event of the future, or of a day that is closed, is today's and nobody's
// counterpart; a storm is counted and claims nothing.
func TestFactsOfNoOpenDay(t *testing.T) {
	t.Parallel()
	r := accounting(t, false)
	for name, at := range map[string]time.Time{"future": r.sim.Clock().Now().AddDate(1, 0, 0), "closed": r.sim.Clock().Now().AddDate(0, 0, -5)} {
		raw := strings.Replace(string(r.sim.NearExpiry(r.key, name)), r.sim.Clock().Now().UTC().Format("2006-01-02"), at.Format("2006-01-02"), 1)
		must(t, r.g.Take(ctx, "keyvaultevents", json.RawMessage(raw)))
	}
	r.through(time.Hour)
	s := r.losses(r.sim.Clock().Now().UTC().Format(time.DateOnly))
	if a := s.Accounts[0]; a.Handled != 2 || a.Late != 1 || a.Worst < 4*24*3600 || len(s.Accounts[1].Lost) != 0 {
		t.Errorf("%+v", s.Accounts)
	}
}

// What was taken in and never worked on is named; what a sweep found first and the log
// told hours later was told; what was there before the first look is nobody's loss.
func TestWhatIsNoLossAndWhatIs(t *testing.T) {
	t.Parallel()
	r := accounting(t, false)
	date := r.sim.Clock().Now().UTC().Format(time.DateOnly)
	if s := r.losses("2026-11-01"); len(s.Found) != 0 {
		t.Errorf("found at the first look: %+v", s.Found)
	}
	r.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Policies = make([]azuresim.AccessPolicy, 1) })
	for _, l := range r.collect() {
		if l.audit {
			r.deliver(l, 0)
			continue
		}
		if strings.Contains(string(l.raw), "VaultAccessPolicyChanged") {
			r.through(time.Hour)
			r.deliver(l, 0)
			r.next() // its message is lost on the way
		}
	}
	r.until(r.sim.Clock().Now().Add(5*time.Minute), func() {})
	if s := r.losses(date); len(s.Accounts[0].Waiting) != 1 || s.Accounts[0].Handled != 0 || s.Gaps() != 1 {
		t.Errorf("not worked on: %+v", s)
	}
	r.sim.ChangeVersion(r.key, func(v *azuresim.Version) { v.Enabled = false })
	late := r.collect()
	r.through(3 * time.Hour)
	if s := r.losses(date); len(s.Found) != 1 {
		t.Errorf("before anybody told: %+v", s.Found)
	}
	for _, l := range late {
		r.deliver(l, 0)
	}
	r.through(time.Hour)
	if s := r.losses(date); len(s.Found) != 0 || s.Accounts[1].Expected != 1 {
		t.Errorf("told late: %+v, %+v", s.Found, s.Accounts[1])
	}
}

// A world whose key was disabled before the first look.
func TestAFirstLookFindsNoLoss(t *testing.T) {
	t.Parallel()
	dir, profile := served(t, azuresim.New(azuresim.Options{}))
	r := newTelling(t, dir, profile, "v1", false)
	r.sim.ChangeVersion(r.key, func(v *azuresim.Version) { v.Enabled = false })
	r.bring(false, false)
	r.g.Watch, r.g.Reconcile = guard.Watch{Losses: true}, time.Hour
	r.through(2 * time.Hour)
	if s := r.losses("2026-11-01"); len(s.Found) != 0 || !r.told.has("CMK-011", "disabled") {
		t.Errorf("%+v", s.Found)
	}
}

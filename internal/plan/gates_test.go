package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// world returns facts and inputs under which a rotation of a healthy key is
// allowed; each test breaks one thing.
func world(t *testing.T) (plan.Facts, plan.Inputs) {
	t.Helper()
	w := risktest.Healthy(now)
	w.Posture.Peers = wiring.Read([]wiring.Peer{}, "arm GET databases", now)
	pol := policy.Default()
	pol.Remedies = map[string]policy.Mode{plan.Rotate: policy.Auto, plan.Rewire: policy.Auto}
	f := plan.Facts{
		Key:       w.Key(),
		Consumers: wiring.Consumers{Key: w.Key().Base(), Clusters: []wiring.Cluster{w.Cluster.Value}, Complete: true},
		Wirings:   []wiring.Wiring{w},
		Versions:  w.Versions,
		Rotation:  wiring.Read(wiring.RotationPolicy{}, "keyvault GET rotationpolicy", now),
	}
	// Old enough to be rotated, whatever the kit's healthy age is.
	f.Versions.Value = []wiring.KeyVersion{{Key: w.Key(), Enabled: true, Created: now.Add(-300 * 24 * time.Hour)}}
	return f, plan.Inputs{Policy: pol, CanWrite: true, Now: now, History: calm()}
}

// calm is a record in which nothing holds.
func calm() *plan.History {
	long := now.Add(-1000 * time.Hour)
	return &plan.History{
		Bounds:       plan.Bounds{MinBetween: time.Hour, Failures: 3, ConsumersPerHour: 50, ConsumersPerDay: 200, RampStep: time.Minute},
		FirstEnabled: map[string]time.Time{plan.Rotate: long, plan.Rewire: long},
	}
}

func TestGates(t *testing.T) {
	t.Parallel()
	stranger := strings.Repeat("b", 32)
	cases := map[string]struct {
		change func(*plan.Facts, *plan.Inputs)
		gate   string // "" = allowed
		answer plan.Answer
		reason string
	}{
		"all well":  {change: func(*plan.Facts, *plan.Inputs) {}, answer: plan.Allow},
		"observing": {func(_ *plan.Facts, in *plan.Inputs) { in.Observe = "policy.yaml:3" }, "observe", plan.Hold, "policy.yaml:3"},
		"paused":    {func(_ *plan.Facts, in *plan.Inputs) { in.Policy.Pause = true }, "pause", plan.Hold, "pause: true"},
		"frozen": {func(_ *plan.Facts, in *plan.Inputs) {
			in.Policy.Freezes = []policy.Freeze{{Name: "noon", Zone: time.UTC, From: 11 * time.Hour, To: 13 * time.Hour}}
		}, "freeze", plan.Hold, "noon is open (UTC) until Sunday 13:00"},
		"frozen elsewhere": {change: func(_ *plan.Facts, in *plan.Inputs) { // it is 21:00 there
			in.Policy.Freezes = []policy.Freeze{{Name: "noon", Zone: time.FixedZone("JST", 9*3600), From: 11 * time.Hour, To: 13 * time.Hour}}
		}, answer: plan.Allow},
		"no remediator":   {func(_ *plan.Facts, in *plan.Inputs) { in.CanWrite = false }, "credential", plan.Hold, "CMKGUARD_REMEDIATOR"},
		"dry run":         {func(_ *plan.Facts, in *plan.Inputs) { in.Policy.Remedies = nil }, "mode", plan.Hold, "dry run"},
		"approve":         {func(_ *plan.Facts, in *plan.Inputs) { in.Policy.Remedies[plan.Rotate] = policy.Approve }, "mode", plan.Hold, "approval"},
		"off":             {func(_ *plan.Facts, in *plan.Inputs) { in.Policy.Remedies[plan.Rotate] = policy.Off }, "mode", plan.Refuse, "off"},
		"imported":        {func(f *plan.Facts, in *plan.Inputs) { in.Policy.ImportedMaterial = []string{"*"} }, "material", plan.Refuse, "import"},
		"three days old":  {func(f *plan.Facts, _ *plan.Inputs) { f.Versions.Value[0].Created = now.Add(-72 * time.Hour) }, "age", plan.Hold, "3 days"},
		"versions unread": {func(f *plan.Facts, _ *plan.Inputs) { f.Versions = wiring.Failed[[]wiring.KeyVersion]("c", now, "403") }, "newest", plan.Hold, "403"},
		"rotation unread": {func(f *plan.Facts, _ *plan.Inputs) {
			f.Rotation = wiring.Failed[wiring.RotationPolicy]("c", now, "403")
		}, "key-vault-rotation", plan.Hold, "403"},
		"no consumer": {func(f *plan.Facts, _ *plan.Inputs) { f.Consumers.Clusters = nil }, "consumers", plan.Hold, "no consumer"},
		"consumers hidden": {func(f *plan.Facts, in *plan.Inputs) {
			f.Consumers.Complete = false
			in.Policy.ConsumersMustBeKnown = true
		}, "consumers", plan.Hold, "consumersMustBeKnown"},
		"over the cap": {func(_ *plan.Facts, in *plan.Inputs) {
			for i := range in.Policy.Limits.RotationsPerDay {
				in.History.Actions = append(in.History.Actions, plan.Action{Plan: fmt.Sprint(i), Remedy: plan.Rotate, Key: "other", At: now.Add(-23 * time.Hour), Ended: plan.Done})
			}
		}, "cap", plan.Hold, "rotationsPerDay"},
		"not running": {func(f *plan.Facts, _ *plan.Inputs) {
			f.Wirings[0].Cluster.Value.ResourceState = "UpdateFailed"
		}, "preflight", plan.Hold, "CMK-004"},
		"identity cannot be judged": {func(f *plan.Facts, _ *plan.Inputs) {
			f.Wirings[0].Vault = wiring.Failed[wiring.Vault]("arm GET vault", now, "refused")
		}, "preflight", plan.Hold, "CMK-050"},
		"a stranger's version on top": {func(f *plan.Facts, _ *plan.Inputs) {
			f.Versions.Value = append(f.Versions.Value, wiring.KeyVersion{Key: f.Key.At(stranger), Enabled: true, Created: now.Add(-30 * 24 * time.Hour)})
		}, "newest", plan.Hold, "origin is unknown"},
		"key vault rotates soon": {func(f *plan.Facts, _ *plan.Inputs) {
			f.Rotation.Value.Actions = []wiring.RotationAction{{Type: "rotate", TimeAfterCreate: "P302D"}}
		}, "key-vault-rotation", plan.Hold, "own rotation is due"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, in := world(t)
			c.change(&f, &in)
			p := plan.ForRotation(f, in.Policy.Hash, in.Now)
			rulings := plan.Gates(p, f, in)
			if got := plan.Verdict(rulings); got != c.answer {
				t.Fatalf("verdict %s, want %s: %+v", got, c.answer, plan.Holding(rulings))
			}
			if c.gate == "" {
				return
			}
			for _, r := range plan.Holding(rulings) {
				if r.Gate == c.gate && strings.Contains(r.Reason, c.reason) {
					return
				}
			}
			t.Fatalf("no ruling of gate %q says %q: %+v", c.gate, c.reason, plan.Holding(rulings))
		})
	}
}

func TestRewireNeedsAKnownMaker(t *testing.T) {
	t.Parallel()
	f, in := world(t)
	to := f.Key.At(strings.Repeat("c", 32))
	f.To, f.Cluster = to, f.Consumers.Clusters[0]
	f.Versions.Value = append(f.Versions.Value, wiring.KeyVersion{Key: to, Enabled: true, Created: now.Add(-time.Hour)})
	p := plan.ForRewire(f, "", now)
	if got := plan.Verdict(plan.Gates(p, f, in)); got != plan.Hold {
		t.Fatalf("a stranger's version: %s, want hold", got)
	}
	f.OurVersions = map[string]bool{to.Version: true}
	if rs := plan.Gates(p, f, in); plan.Verdict(rs) != plan.Allow {
		t.Fatalf("our own version is held: %+v", plan.Holding(rs))
	}
	f.OurVersions = nil
	f.Rotation.Value.Actions = []wiring.RotationAction{{Type: "Rotate", TimeAfterCreate: "P300D"}}
	if rs := plan.Gates(p, f, in); plan.Verdict(rs) != plan.Allow {
		t.Fatalf("Key Vault's own version is held: %+v", plan.Holding(rs))
	}
}

func TestPlanIsTheSameForTheSameFacts(t *testing.T) {
	t.Parallel()
	f, in := world(t)
	second := f.Consumers.Clusters[0]
	second.ID, second.Kind = azureid.MustResource(second.ID.String()+"-b"), "v1"
	a := f
	a.Consumers.Clusters = []wiring.Cluster{f.Consumers.Clusters[0], second}
	b := f
	b.Consumers.Clusters = []wiring.Cluster{second, f.Consumers.Clusters[0]}
	_, one, err := plan.ForRotation(a, "", in.Now).Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, two, err := plan.ForRotation(b, "", in.Now).Encode()
	if err != nil || one != two {
		t.Fatalf("%s != %s (%v)", one, two, err)
	}
	in.Policy.Remedies = nil // dry run plans the same
	if _, dry, _ := plan.ForRotation(a, "", in.Now).Encode(); dry != one {
		t.Fatal("a dry run's plan differs")
	}
}

func TestAddISO(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for in, want := range map[string]string{
		"P90D": "2026-05-01T00:00:00Z", "P1Y10D": "2027-02-10T00:00:00Z", "PT48H": "2026-02-02T00:00:00Z", "p3m": "2026-05-01T00:00:00Z",
	} {
		got, ok := plan.AddISO(base, in, 1)
		if !ok || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %v %v, want %s", in, got, ok, want)
		}
	}
	for _, bad := range []string{"", "P", "90D", "P-1D", "P1.5D", "P9999999D"} {
		if _, ok := plan.AddISO(base, bad, 1); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestNoGateAskedIsNoPermission(t *testing.T) {
	t.Parallel()
	if plan.Verdict(nil) != plan.Hold {
		t.Fatal("no rulings must hold")
	}
}

// Two people for what may have been taken away on purpose; one only where the
// policy is content with one and somebody is known to have caused it.
func TestHowManyPeopleARepairNeeds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		remedy  string
		persons int
		causes  []string
		want    int
	}{
		"by default":                {plan.RecoverKey, 0, []string{"a"}, 2},
		"one, and nobody known":     {plan.RecoverKey, 1, nil, 2},
		"one, and a suspect":        {plan.RecoverKey, 1, []string{plan.Suspect + "a"}, 2},
		"one, and somebody known":   {plan.RecoverKey, 1, []string{"a"}, 1},
		"two":                       {plan.RecoverKey, 2, []string{"a"}, 2},
		"a rotation":                {plan.Rotate, 0, nil, 1},
		"a rotation, two asked for": {plan.Rotate, 2, nil, 2},
	} {
		in := plan.Inputs{Policy: policy.Default(), Causes: c.causes}
		in.Policy.Approvals.Persons = c.persons
		if n := plan.Need(c.remedy, in); n.Persons != c.want || len(n.Causes) != len(c.causes) || len(n.Causes) > 0 && n.Causes[0] != "a" {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

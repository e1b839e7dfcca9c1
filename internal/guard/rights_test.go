package guard_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
	"cmkguard/internal/wiring"
)

// given answers what our identities were given.
type given struct {
	asked int
	all   []wiring.OwnIdentity
}

func (g *given) Own(context.Context) []wiring.OwnIdentity { g.asked++; return g.all }

func identity(role, object string, dataActions ...string) wiring.OwnIdentity {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	return wiring.OwnIdentity{
		Role: role, Object: wiring.Read(object, "claim", at), Policies: wiring.Read([]wiring.OwnPolicy{}, "graph", at),
		Grants: wiring.Read([]wiring.OwnGrant{{Assignment: wiring.RoleAssignment{ID: "/a", RoleID: "r", Scope: "/subscriptions/s"},
			Role: wiring.Read(wiring.RoleDefinition{Name: "R", Permissions: []wiring.Permission{{DataActions: dataActions}}}, "arm", at)}}, "arm", at),
	}
}

func (c *told) lives(check string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, a := range c.all {
		if a.Check == check {
			out = append(out, string(a.Lifecycle)+" "+string(a.Severity))
		}
	}
	return strings.Join(out, ", ")
}

// Excess rights are told at the start and by a look each day, weighed by what they
// would allow, and end when they are taken away.
func TestExcessRightsAreToldAndEnd(t *testing.T) {
	t.Parallel()
	const rotate, recoverKey = "Microsoft.KeyVault/vaults/keys/rotate/action", "Microsoft.KeyVault/vaults/keys/recover/action"
	w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, mode: policy.Auto})
	own := &given{all: []wiring.OwnIdentity{identity("observer", "o"), identity("remediator", "r", rotate, recoverKey)}}
	w.g.Watch.Rights, w.g.Watch.Beats, w.g.Reconcile = own, true, time.Hour
	must(t, w.g.Started(ctx))
	w.run(1)
	if own.asked == 0 || w.told.lives("SELF-021") != "" || w.told.lives("SELF-022") != "trigger medium" || !w.told.has("SELF-022", recoverKey) || w.told.has("SELF-022", rotate) {
		t.Fatalf("asked %d times; observer %q, remediator %q", own.asked, w.told.lives("SELF-021"), w.told.lives("SELF-022"))
	}
	w.g.Policy.Remedies[plan.RecoverKey] = policy.Approve // from now on it is needed
	own.all[0] = identity("observer", "o", rotate)
	asked := own.asked
	for range 30 { // a day and more, looked at every hour
		must(t, w.g.Sweep(ctx))
		w.turn(&worker{g: w.g, b: w.b})
		w.sim.Clock().Advance(time.Hour)
	}
	if n := own.asked - asked; n < 1 || n > 2 {
		t.Errorf("asked %d times in 30 hours", n)
	}
	if got := w.told.lives("SELF-021") + "; " + w.told.lives("SELF-022"); got != "trigger critical; trigger medium, resolve medium" {
		t.Fatal(got)
	}
	own.all[0] = identity("observer", "o")
	w.sim.Clock().Advance(24 * time.Hour)
	must(t, w.g.Sweep(ctx))
	w.run(1)
	if got := w.told.lives("SELF-021"); got != "trigger critical, resolve critical" {
		t.Fatal(got)
	}
}

func TestOneIdentityForBothIsCritical(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, mode: policy.Auto})
	w.g.Watch.Rights = &given{all: []wiring.OwnIdentity{identity("observer", "SAME"), identity("remediator", "same")}}
	must(t, w.g.Started(ctx))
	w.run(1)
	if w.told.lives("SELF-021") != "trigger critical" || !w.told.has("SELF-021", "one identity") {
		t.Fatalf("%q", w.told.lives("SELF-021"))
	}
}

// What cannot be read neither opens nor resolves, and without a policy in force nobody
// says what the remediator is for.
func TestRightsThatCannotBeJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, observe: "policy.yaml:3: bad"})
	unread := identity("observer", "o")
	unread.Object = wiring.Failed[string]("claim", w.sim.Clock().Now(), "no token")
	w.g.Watch.Rights = &given{all: []wiring.OwnIdentity{unread, identity("remediator", "r", "*")}}
	must(t, w.g.Started(ctx))
	w.run(1)
	if a, b := w.told.lives("SELF-021"), w.told.lives("SELF-022"); strings.Contains(a+b, string(alert.Trigger)) {
		t.Fatalf("%q, %q", a, b)
	}
}

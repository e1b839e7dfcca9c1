package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/hostproc"
)

type chapter struct {
	title string
	do    func(context.Context, *demo) error
}

func chapters() []chapter {
	return []chapter{
		{"KeyNearExpiry for kv-orders/redis-orders arrives twice; a PATCH is about to be cut by SIGKILL", nearExpiry},
		{"The key is rotated, once", rotatedOnce},
		{"The handler is killed in the middle of the PATCH of sessions-cache, and started again", killedAndResumed},
		{"sessions-cache (v1) follows by PATCH, shop-cache (v2) by itself; both are read back", everyoneFollows},
		{"An event for the old version arrives late and out of order: nothing is rotated again", outOfOrder},
		{"Somebody takes ledger-cache's access to its key away: alerted with what breaks, not touched", accessLost},
		{"The journal verifies", journalVerifies},
	}
}

func say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

func nearExpiry(ctx context.Context, d *demo) error {
	d.sim.Inject(azuresim.Fault{Method: http.MethodPatch, Host: "management.azure.com", Times: 1, Mode: azuresim.Drop})
	event := d.sim.NearExpiry(d.orders, "event-1")
	for range 2 {
		if err := d.child.Event(ctx, event); err != nil {
			return err
		}
	}
	say("both deliveries were answered 200 {}")
	return nil
}

func rotatedOnce(ctx context.Context, d *demo) error {
	err := hostproc.Until(ctx, "a new version", func() (bool, error) { return len(d.sim.Versions(d.orders)) == 2, nil })
	if err != nil {
		return err
	}
	say("version %s -> %s", d.orders.Version, d.newest())
	return nil
}

func (d *demo) newest() string {
	all := d.sim.Versions(d.orders)
	return all[len(all)-1]
}

func killedAndResumed(ctx context.Context, d *demo) error {
	if err := hostproc.Until(ctx, "the PATCH", func() (bool, error) { return d.patches(d.sessions) == 1, nil }); err != nil {
		return err
	}
	d.child.Kill()
	say("killed after the PATCH was accepted and before its answer arrived")
	if err := d.child.Start(ctx); err != nil {
		return err
	}
	say("started again; it waits out the quiet time and then reads the world before it acts")
	return nil
}

func (d *demo) patches(id azureid.Resource) int {
	return d.sim.Count(http.MethodPatch, id.String())
}

// everyoneFollows lets hours pass on the story's clock, a minute at a time.
func everyoneFollows(ctx context.Context, d *demo) error {
	on := func(id azureid.Resource) bool {
		c := d.sim.Cluster(id)
		return strings.HasSuffix(c.CMK.KeyURL, "/"+d.newest()) && c.ResourceState == "Running"
	}
	done := func(a alert.Alert) bool {
		return a.Lifecycle == alert.Notice && strings.HasPrefix(a.Title, "Done: rotate")
	}
	// The handler looks at its timers once a second: a sweep each eight minutes.
	pace := hostproc.Pace{Calls: func() int { return len(d.sim.Calls()) }, State: d.state, Advance: d.sim.Clock().Advance, Step: time.Minute, Least: 120 * time.Millisecond}
	err := hostproc.Within(ctx, 2*time.Minute, "both clusters on the new version, and told so", func() (bool, error) {
		pace.Tick()
		_, told := d.hook.find(done)
		return told && on(d.shop) && on(d.sessions), nil
	})
	if err != nil {
		return err
	}
	if n := d.patches(d.sessions); n != 1 {
		return fmt.Errorf("%d PATCHes of sessions-cache, want the one that was cut and resumed", n)
	}
	if n := d.patches(d.shop); n != 0 {
		return fmt.Errorf("%d PATCHes of shop-cache, want none: it follows by itself", n)
	}
	a, _ := d.hook.find(done)
	for _, line := range a.Done {
		say("%s", line)
	}
	say("one PATCH in all; the old version is still enabled")
	return nil
}

func outOfOrder(ctx context.Context, d *demo) error {
	if err := d.child.Event(ctx, d.sim.NearExpiry(d.orders, "event-0")); err != nil {
		return err
	}
	before := d.sim.Count(http.MethodPost, "/rotate")
	// The event is through when its reads of the key's versions have come.
	reads := d.sim.Count(http.MethodGet, "/redis-orders/versions")
	err := hostproc.Until(ctx, "the event is worked on", func() (bool, error) {
		return d.sim.Count(http.MethodGet, "/redis-orders/versions") > reads, nil
	})
	if err != nil {
		return err
	}
	if n := d.sim.Count(http.MethodPost, "/rotate"); n != 1 || before != 1 || len(d.sim.Versions(d.orders)) != 2 {
		return fmt.Errorf("%d RotateKey calls and %d versions, want 1 and 2", n, len(d.sim.Versions(d.orders)))
	}
	say("RotateKey was called once in all")
	return nil
}

func accessLost(ctx context.Context, d *demo) error {
	d.sim.ChangeVault(d.ledgerVault, func(v *azuresim.Vault) { v.Policies = v.Policies[:1] })
	if err := d.child.Event(ctx, d.sim.AccessPolicyChanged(d.ledgerVault, "event-2")); err != nil {
		return err
	}
	lost := func(a alert.Alert) bool {
		return a.Lifecycle == alert.Trigger && a.Check == "CMK-050" && strings.Contains(a.Subject, "ledger-cache")
	}
	if err := hostproc.Until(ctx, "the alert", func() (bool, error) { _, ok := d.hook.find(lost); return ok, nil }); err != nil {
		return err
	}
	a, _ := d.hook.find(lost)
	if a.Breaks == "" || len(a.Impact) == 0 || len(a.Next) == 0 {
		return fmt.Errorf("the alert lacks what breaks, whom it hits or what to do: %+v", a)
	}
	fmt.Print(indent(alert.Render(a, d.sim.Clock().Now())))
	for _, c := range d.sim.Calls() {
		if c.Method != http.MethodGet && (strings.Contains(c.Host, "kv-ledger") || strings.Contains(strings.ToLower(c.Path), "ledger")) {
			return fmt.Errorf("%s %s%s: the vault and its cluster were to be left alone", c.Method, c.Host, c.Path)
		}
	}
	say("nothing was written to the vault or to the cluster")
	return nil
}

func indent(s string) string {
	return "   | " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n   | ") + "\n"
}

func journalVerifies(ctx context.Context, d *demo) error {
	var out string
	err := hostproc.Until(ctx, "a sealed journal", func() (bool, error) {
		var err error
		out, err = d.child.Command(ctx, "audit", "verify")
		if err != nil {
			return false, fmt.Errorf("%w: %s", err, out)
		}
		return strings.Contains(out, "unsealed 0"), nil
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	fmt.Print(indent(out))
	return nil
}

package route_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/route"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
)

func now() time.Time { return time.Date(2026, 9, 21, 10, 0, 0, 0, time.UTC) }

// channels are of every sort: two that people read, of which one keeps incidents.
func channels() []policy.Channel {
	return []policy.Channel{{Name: "pager", Kind: "pagerduty"}, {Name: "chat", Kind: "slack"}, {Name: "bus", Kind: "eventgrid"}, {Name: "log", Kind: "console"}}
}

func with(routes ...policy.Route) *policy.Policy {
	for i := range routes {
		routes[i].Line = 10 + i
	}
	return &policy.Policy{File: "conf/policy.yaml", Channels: channels(), Routes: routes}
}

func to(m policy.AlertMatch, names ...string) policy.Route {
	return policy.Route{Match: m, Channels: names}
}

func broken(sev risk.Severity) alert.Alert {
	return alert.Alert{
		ID: "a-1", DedupKey: "cmkguard/CMK-050/x", Lifecycle: alert.Trigger, Severity: sev, Check: "CMK-050",
		Subject: "cluster:/subscriptions/S-1/resourcegroups/rg/providers/microsoft.cache/redisenterprise/pay", Vault: "kv-pay",
		Impact: []alert.Impact{{Cluster: "/subscriptions/s-2/x", Tags: map[string]string{"owner": "payments"}}},
	}
}

func TestEveryRouteThatMatchesApplies(t *testing.T) {
	t.Parallel()
	p := with(
		to(policy.AlertMatch{MinSeverity: risk.High}, "pager", "bus"),
		to(policy.AlertMatch{MinSeverity: risk.Critical}, "chat"),
		to(policy.AlertMatch{Tags: map[string]string{"owner": "pay*"}}, "chat", "pager"),
	)
	c := route.Decide(p, broken(risk.High), nil, now())
	want := []alert.Target{
		{Channel: "pager", Why: "policy.yaml:10, policy.yaml:12"}, {Channel: "bus", Why: "policy.yaml:10"}, {Channel: "chat", Why: "policy.yaml:12"},
	}
	if diff := cmp.Diff(want, c.Targets); diff != "" {
		t.Error(diff)
	}
	misses := []route.Ruling{
		{Where: "policy.yaml:10", Channels: []string{"pager", "bus"}},
		{Where: "policy.yaml:11", Channels: []string{"chat"}, Miss: "severity high is below critical"},
		{Where: "policy.yaml:12", Channels: []string{"chat", "pager"}},
	}
	if diff := cmp.Diff(misses, c.Routes); diff != "" || c.Note != "" {
		t.Error(diff, c.Note)
	}
}

func TestAGapOfThePolicyIsNotSilence(t *testing.T) {
	t.Parallel()
	p := with(to(policy.AlertMatch{Vaults: []string{"kv-other"}}, "pager"))
	for _, sev := range []risk.Severity{risk.Critical, risk.High, "typo", ""} {
		c := route.Decide(p, broken(sev), nil, now())
		if got := c.Channels(); !slices.Equal(got, []string{"pager", "chat"}) || !strings.Contains(c.Note, "no route") {
			t.Errorf("%q: %v %q", sev, got, c.Note)
		}
	}
	for _, sev := range []risk.Severity{risk.Medium, risk.Low, risk.Info} {
		if c := route.Decide(p, broken(sev), nil, now()); len(c.Targets) != 0 || c.Note != "" {
			t.Errorf("%q: %+v", sev, c)
		}
	}
}

// Who was woken at night is told in the morning that it is over, though the night's
// route no longer matches.
func TestWhoWasToldIsToldOfTheEnd(t *testing.T) {
	t.Parallel()
	night := &policy.Freeze{Zone: time.UTC, From: 22 * time.Hour, To: 6 * time.Hour}
	p := with(to(policy.AlertMatch{MinSeverity: risk.High, Hours: night}, "pager"), to(policy.AlertMatch{MinSeverity: risk.Info}, "log"))
	p.Routes[0].Fallback = []string{"chat"}
	a := broken(risk.High)
	a.Lifecycle = alert.Resolve
	got := route.Decide(p, a, []string{"log", "pager", "gone"}, now())
	want := []alert.Target{{Channel: "log", Why: "policy.yaml:11"}, {Channel: "pager", Why: "was told of the problem before", Fallback: []string{"chat"}}}
	if diff := cmp.Diff(want, got.Targets); diff != "" {
		t.Errorf("a channel that the policy no longer has is left out; the rest hears it: %s", diff)
	}
}

func TestOfTheEndOnlyThoseAreToldWhoKnowOfIt(t *testing.T) {
	t.Parallel()
	p := with(to(policy.AlertMatch{MinSeverity: risk.Info}, "pager", "chat"), to(policy.AlertMatch{Lifecycle: []string{"resolve"}}, "bus"), to(policy.AlertMatch{MinSeverity: risk.Info}, "log"))
	a := broken(risk.High)
	a.Lifecycle = alert.Resolve
	c := route.Decide(p, a, []string{"chat"}, now())
	if got := c.Channels(); !slices.Equal(got, []string{"chat", "bus"}) || c.Routes[2].Miss != "nobody there was told of the problem" {
		t.Errorf("%v %+v", got, c.Routes)
	}
	if got := route.Decide(p, a, nil, now()).Channels(); !slices.Equal(got, []string{"pager", "chat", "bus", "log"}) {
		t.Errorf("of an incident that does not say who was told: %v", got)
	}
	a.Lifecycle = alert.Update
	if got := route.Decide(p, a, []string{"chat"}, now()).Channels(); !slices.Equal(got, []string{"pager", "chat", "log"}) {
		t.Errorf("of an update: %v", got)
	}
}

func TestAnAcknowledgementGoesWhereIncidentsAreKept(t *testing.T) {
	t.Parallel()
	p := with(to(policy.AlertMatch{MinSeverity: risk.Info}, "pager", "chat", "bus", "log"))
	a := broken(risk.Critical)
	a.Lifecycle = alert.Acknowledge
	if got := route.Decide(p, a, []string{"pager", "chat", "log"}, now()).Channels(); !slices.Equal(got, []string{"pager"}) {
		t.Errorf("%v", got)
	}
	if got := route.Decide(p, a, nil, now()).Channels(); len(got) != 0 {
		t.Errorf("nobody was told, and %v are told of the acknowledgement", got)
	}
}

func TestTheShorterReminderCounts(t *testing.T) {
	t.Parallel()
	all := policy.AlertMatch{MinSeverity: risk.Info}
	slow := policy.Route{Match: all, Channels: []string{"chat"}, Fallback: []string{"log"}, Repeat: 4 * time.Hour}
	quick := policy.Route{
		Match: all, Channels: []string{"chat"}, Fallback: []string{"pager", "log"}, Repeat: time.Hour,
		Escalate: &policy.Escalation{After: time.Minute, Channels: []string{"pager"}},
	}
	c := route.Decide(with(slow, quick), broken(risk.High), nil, now())
	if !slices.Equal(c.Targets[0].Fallback, []string{"log", "pager"}) || !slices.Equal(c.Repeat, []route.Repeat{{Channel: "chat", Every: time.Hour}}) || len(c.Escalate) != 1 {
		t.Errorf("%+v", c)
	}
	if got := route.Named(with(slow), []string{"chat", "gone"}, "x"); len(got) != 1 || got[0].Channel != "chat" || !slices.Equal(got[0].Fallback, []string{"log"}) {
		t.Errorf("%+v", got)
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	f := route.Facts(broken(risk.High))
	if f.Family != risk.FamilyAccess || !slices.Equal(f.Subscriptions, []string{"s-1", "s-2"}) || f.Tags[0]["owner"] != "payments" || f.Vault != "kv-pay" {
		t.Errorf("%+v", f)
	}
	for want, a := range map[string]alert.Alert{
		"self": {GroupKey: "self"}, risk.FamilyUse: {DedupKey: "cmkguard/claim/x"}, "work": {DedupKey: "cmkguard/plan/x"}, risk.FamilyKey: {Check: "CMK-010", GroupKey: "self"},
	} {
		if got := route.Facts(a).Family; got != want {
			t.Errorf("%+v: family %s, want %s", a, got, want)
		}
	}
}

// Whatever the policy says, a severe alert reaches somebody, each channel once.
func TestASevereAlertAlwaysReachesSomebody(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"pager", "chat", "bus", "log"}
		severities := []risk.Severity{risk.Critical, risk.High, risk.Medium, risk.Low, risk.Info, ""}
		var routes []policy.Route
		for range rapid.IntRange(0, 5).Draw(t, "routes") {
			routes = append(routes, to(policy.AlertMatch{
				MinSeverity: rapid.SampledFrom(severities).Draw(t, "min"),
				Vaults:      rapid.SliceOfN(rapid.SampledFrom([]string{"kv-*", "kv-pay", "other"}), 0, 2).Draw(t, "vaults"),
				Lifecycle:   rapid.SliceOfN(rapid.SampledFrom([]string{"trigger", "resolve"}), 0, 1).Draw(t, "lifecycle"),
			}, rapid.SliceOfN(rapid.SampledFrom(names), 1, 4).Draw(t, "channels")...))
		}
		a := broken(rapid.SampledFrom(severities).Draw(t, "severity"))
		a.Lifecycle = rapid.SampledFrom([]alert.Lifecycle{alert.Trigger, alert.Update, alert.Resolve, alert.Notice}).Draw(t, "state")
		told := rapid.SliceOfN(rapid.SampledFrom(names), 0, 3).Draw(t, "told")
		got := route.Decide(with(routes...), a, told, now()).Channels()
		if len(got) == 0 && a.Severity.Rank() != 1 && a.Severity.Rank() != 2 && a.Severity.Rank() != 3 {
			t.Fatalf("nobody is told of %q under %+v", a.Severity, routes)
		}
		for _, name := range told {
			if !slices.Contains(got, name) {
				t.Fatalf("%s was told and is not told now", name)
			}
		}
		sorted := slices.Compact(slices.Sorted(slices.Values(got)))
		if len(sorted) != len(got) {
			t.Fatalf("twice: %v", got)
		}
	})
}

package self_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/risk"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/self"
	"cmkguard/internal/wiring"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Every check is whole, and explained on its page: what it means and what to do.
func TestTheCatalogueAndItsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "selfguard.md"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range self.Catalogue() {
		got = append(got, c.ID)
		if !regexp.MustCompile(`^SELF-\d{3}$`).MatchString(c.ID) || c.Title == "" || c.Severity.Rank() < risk.Medium.Rank() ||
			c.Breaks == "" || strings.HasSuffix(c.Breaks, ".") || !strings.HasSuffix(c.Guidance, ".") {
			t.Errorf("%+v is not whole", c)
		}
		if !strings.Contains(string(page), "### "+c.ID+"\n\n**"+c.Title+".** ") {
			t.Errorf("docs/selfguard.md does not explain %s: %s", c.ID, c.Title)
		}
	}
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("ids %v: want each once, in order", got)
	}
}

func TestTheHeartbeat(t *testing.T) {
	t.Parallel()
	at := func(ago time.Duration) self.Beat { return self.Beat{At: now.Add(-ago)} }
	for name, c := range map[string]struct {
		beat self.Beat
		ok   bool
		want risk.Answer
		why  string
	}{
		"just now":       {at(time.Second), true, risk.OK, "ended at 2026-11-01T11:59:59Z"},
		"at the limit":   {at(self.Silence), true, risk.OK, ""},
		"past the limit": {at(self.Silence + time.Second), true, risk.Broken, "10m1s ago"},
		"for days":       {at(50 * time.Hour), true, risk.Broken, "50h0m0s ago"},
		"never":          {self.Beat{At: now.Add(-time.Hour), Awaited: true}, true, risk.Broken, "no sweep has ever"},
		"unread":         {self.Beat{}, false, risk.Unknown, "AuthorizationFailure"},
	} {
		v := self.JudgeBeat(c.beat, c.ok, "AuthorizationFailure", now)
		if v.Answer != c.want || !strings.Contains(v.Why, c.why) || v.Subject != self.Us() || v.Severity != risk.Critical {
			t.Errorf("%s: %+v", name, v)
		}
		if (v.Answer == risk.Broken) != (v.Breaks != "" && len(v.Reasons) == 1 && len(v.Evidence) == 1) && v.Answer != risk.OK {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	if v := self.JudgeSettings("", now); v.Answer != risk.OK {
		t.Errorf("%+v", v)
	}
	a, b := self.JudgeSettings("policy.yaml:3: no such mode", now), self.JudgeSettings(strings.Repeat("é", 1000), now)
	if a.Answer != risk.Broken || !strings.Contains(a.Why, "policy.yaml:3") || a.Breaks == b.Breaks || len(b.Breaks) > 600 {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestTheLoad(t *testing.T) {
	t.Parallel()
	const limit = time.Hour
	for name, c := range map[string]struct {
		load self.Load
		want risk.Answer
		why  string
	}{
		"nothing waits":     {self.Load{}, risk.OK, "waits 0s"},
		"one is out":        {self.Load{PulseSent: now.Add(-limit), PulseTook: time.Minute}, risk.OK, "waits 1h0m0s"},
		"one is late":       {self.Load{PulseSent: now.Add(-limit - time.Second)}, risk.Broken, "since 2026-11-01T10:59:59Z"},
		"one came late":     {self.Load{PulseTook: 2 * limit}, risk.Broken, "2h0m0s behind"},
		"and one is out":    {self.Load{PulseTook: 2 * limit, PulseSent: now}, risk.Broken, "behind"},
		"work fails":        {self.Load{Stuck: 3, StuckSince: now.Add(-limit), StuckWhy: "HTTP 500"}, risk.Broken, "3 pieces of work fail again and again, the oldest since 2026-11-01T11:00:00Z: HTTP 500"},
		"steps are late":    {self.Load{Overdue: 7, OverdueBy: limit}, risk.OK, ""},
		"steps are overdue": {self.Load{Overdue: 7, OverdueBy: limit + time.Second}, risk.Broken, "7 steps"},
		"a few orphans":     {self.Load{Orphans: self.TooManyOrphans}, risk.OK, ""},
		"many orphans":      {self.Load{Orphans: self.TooManyOrphans + 1}, risk.Broken, "101 events"},
		"all at once":       {self.Load{PulseTook: 2 * limit, Stuck: 1, Overdue: 1, OverdueBy: 2 * limit}, risk.Broken, "; 1 steps"},
	} {
		v := self.JudgeLoad(c.load, limit, now)
		if v.Check != self.Backlog || v.Answer != c.want || !strings.Contains(v.Why, c.why) || len(v.Evidence) != 1 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		count self.Count
		want  risk.Answer
		why   string
	}{
		"none":      {self.Count{}, risk.OK, "0"},
		"the limit": {self.Count{N: 2}, risk.OK, "2"},
		"above":     {self.Count{N: 3, More: true}, risk.Broken, "3 or more"},
		"uncounted": {self.Count{N: 9, Why: "HTTP 403"}, risk.Unknown, "HTTP 403"},
	} {
		for _, v := range []risk.Verdict{self.JudgeDeadLetters(c.count, 2), self.JudgeKept(c.count, 2)} {
			if v.Answer != c.want || !strings.Contains(v.Why, c.why) {
				t.Errorf("%s: %+v", name, v)
			}
		}
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	refused := func(call string) string { return "arm: AuthorizationFailed: HTTP 403: " + call }
	for name, c := range map[string]struct {
		change       func(*wiring.Wiring)
		cluster, key risk.Answer
	}{
		"all read": {func(*wiring.Wiring) {}, risk.OK, risk.OK},
		"identity refused": {func(w *wiring.Wiring) {
			w.Identity = wiring.Failed[wiring.Identity]("arm GET id", now, refused("x"))
		}, risk.Broken, risk.OK},
		"denies refused": {func(w *wiring.Wiring) {
			w.Denies = wiring.Failed[[]wiring.DenyAssignment]("arm GET denies", now, refused("x"))
		}, risk.OK, risk.Broken},
		"versions throttled": {func(w *wiring.Wiring) {
			w.Versions = wiring.Failed[[]wiring.KeyVersion]("kv", now, "kv: Throttled: HTTP 429")
		}, risk.Unknown, risk.Unknown},
		"one refused, one throttled": {func(w *wiring.Wiring) {
			w.Versions = wiring.Failed[[]wiring.KeyVersion]("kv", now, "kv: Throttled: HTTP 429")
			w.Rotation = wiring.Failed[wiring.RotationPolicy]("kv GET rotationpolicy", now, "kv: Unauthorized: HTTP 401")
		}, risk.Unknown, risk.Broken},
		"not there": {func(w *wiring.Wiring) {
			w.Versions = wiring.NotThere[[]wiring.KeyVersion]("kv", now, "HTTP 404")
		}, risk.OK, risk.OK},
	} {
		w := risktest.Healthy(now)
		c.change(&w)
		vs := self.JudgeReads(w)
		if len(vs) != 2 || vs[0].Answer != c.cluster || vs[1].Answer != c.key || vs[0].Subject.Kind != event.SubjectCluster || vs[1].Subject.ID != w.Key().ID() {
			t.Errorf("%s: %+v", name, vs)
		}
	}
	blind := wiring.Wiring{ID: azureid.MustResource(risktest.ClusterID), Cluster: wiring.Failed[wiring.Cluster]("arm GET cluster", now, refused("x"))}
	if vs := self.JudgeReads(blind); len(vs) != 1 || vs[0].Answer != risk.Broken || !strings.Contains(vs[0].Why, "arm GET cluster") {
		t.Errorf("of a cluster that refuses, its key is not known: %+v", vs)
	}
}

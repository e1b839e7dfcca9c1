package hold_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/hold"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

var ctx = context.Background()

// monday is a Monday at noon in Berlin.
func monday() time.Time { return time.Date(2026, 9, 21, 10, 0, 0, 0, time.UTC) }

type world struct {
	t     *testing.T
	clock time.Time
	state store.State
	pol   *policy.Policy
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: monday(), pol: &policy.Policy{
		File: "policy.yaml", Channels: []policy.Channel{{Name: "pager", Kind: "pagerduty"}, {Name: "chat", Kind: "slack"}, {Name: "bus", Kind: "eventgrid"}},
	}}
	w.state = memstore.New(w.now)
	return w
}

func (w *world) now() time.Time { return w.clock }

func (w *world) put(partition string, op store.Op) {
	w.t.Helper()
	if _, err := w.state.Apply(ctx, partition, []store.Op{op}); err != nil {
		w.t.Fatal(err)
	}
}

// hold asks anew, as each call of the dispatcher does.
func (w *world) hold(a alert.Alert, channel string) *alert.Hold {
	w.t.Helper()
	j, err := hold.Holder{State: w.state, Policy: w.pol, Now: w.now}.Look(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := j.Hold(ctx, a, channel)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

func broken(sev risk.Severity) alert.Alert {
	return alert.Alert{
		ID: "a-1", Lifecycle: alert.Trigger, Severity: sev, Check: "CMK-050", Vault: "kv-pay", Title: "Broken",
		Subject: "cluster:/subscriptions/s/resourcegroups/rg/providers/microsoft.cache/redisenterprise/pay",
	}
}

func silence() hold.Silence {
	return hold.Silence{ID: "s-1", Owner: "anna", Reason: "change 7", Match: policy.AlertMatch{Vaults: []string{"kv-*"}}, Until: monday().Add(4 * time.Hour)}
}

func TestASilenceHoldsUntilItEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(hold.Partition, silence().Put())
	h := w.hold(broken(risk.High), "chat")
	if h == nil || h.Kind != alert.HoldSilence || h.ID != "s-1" || !h.Until.Equal(monday().Add(4*time.Hour)) || h.Why != "silence s-1 of anna (change 7)" {
		t.Fatalf("%+v", h)
	}
	for name, a := range map[string]alert.Alert{
		"critical": broken(risk.Critical), "of no severity": broken("urgent"),
		"the end": {Lifecycle: alert.Resolve, Severity: risk.Low, Vault: "kv-pay"}, "that somebody works on it": {Lifecycle: alert.Acknowledge, Severity: risk.Low, Vault: "kv-pay"},
		"another vault": {Lifecycle: alert.Trigger, Severity: risk.Low, Vault: "other"},
	} {
		if h := w.hold(a, "chat"); h != nil {
			t.Errorf("%s is held: %+v", name, h)
		}
	}
	if h := w.hold(broken(risk.High), "bus"); h != nil {
		t.Errorf("a channel that nobody reads is held: %+v", h)
	}
	w.clock = monday().Add(4 * time.Hour)
	if h := w.hold(broken(risk.High), "chat"); h != nil {
		t.Errorf("held after its end: %+v", h)
	}
}

func TestACriticalAlertIsSilencedByNameOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m    policy.AlertMatch
		held bool
	}{
		"severity": {policy.AlertMatch{MinSeverity: risk.Low}, false}, "any vault": {policy.AlertMatch{Vaults: []string{"*"}}, false},
		"its vault": {policy.AlertMatch{Vaults: []string{"KV-pay"}}, true}, "its subject": {policy.AlertMatch{Subjects: []string{"pay"}}, true},
		"its vault, another check": {policy.AlertMatch{Vaults: []string{"kv-pay"}, Checks: []string{"CMK-010"}}, false},
	} {
		w := newWorld(t)
		s := silence()
		s.Match = c.m
		w.put(hold.Partition, s.Put())
		if h := w.hold(broken(risk.Critical), "pager"); (h != nil) != c.held {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func TestWhatIsNoSilence(t *testing.T) {
	t.Parallel()
	if err := silence().Check(monday()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*hold.Silence){
		"no owner":        func(s *hold.Silence) { s.Owner = " " },
		"no reason":       func(s *hold.Silence) { s.Reason = "" },
		"every alert":     func(s *hold.Silence) { s.Match = policy.AlertMatch{} },
		"is past":         func(s *hold.Silence) { s.Until = monday() },
		"30 days":         func(s *hold.Silence) { s.Until = monday().AddDate(0, 0, 30).Add(time.Second) },
		"critical alerts": func(s *hold.Silence) { s.Match.Severities = []risk.Severity{risk.Critical} },
		"named whole":     func(s *hold.Silence) { s.Match.MinSeverity = risk.Critical },
	} {
		s := silence()
		change(&s)
		if err := s.Check(monday()); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	named := silence()
	named.Match = policy.AlertMatch{MinSeverity: risk.Critical, Subjects: []string{"pay"}}
	if err := named.Check(monday()); err != nil {
		t.Error(err)
	}
}

func TestASilenceCountsWhatItHidOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := silence()
	w.put(hold.Partition, s.Put())
	j, err := hold.Holder{State: w.state, Policy: w.pol, Now: w.now}.Look(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for i := range 25 {
			n := alert.Notification{ID: fmt.Sprint("n-", i), Channel: "chat", Alert: broken(risk.High)}
			if err := j.Mark(ctx, alert.Hold{Kind: alert.HoldSilence, ID: s.ID}, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Mark(ctx, alert.Hold{Kind: alert.HoldMute, ID: s.ID}, alert.Notification{ID: "other"}); err != nil {
		t.Fatal(err)
	}
	all, err := hold.Silences(ctx, w.state)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %v", all, err)
	}
	hid, ops, err := all[0].End(ctx, w.state)
	if err != nil || hid.Count != 25 || len(hid.Titles) != 20 || hid.Titles[0] != "chat: HIGH Broken" {
		t.Fatalf("%+v %v", hid, err)
	}
	if _, err := w.state.Apply(ctx, hold.Partition, ops); err != nil {
		t.Fatal(err)
	}
	if rows, _ := w.state.Scan(ctx, hold.Partition, "", "", 10); len(rows) != 0 {
		t.Errorf("left: %v", rows)
	}
}

func TestMuteWindows(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.pol.Mutes = []policy.Mute{
		{Window: policy.Freeze{Name: "lunch", Zone: berlin, From: 12 * time.Hour, To: 13 * time.Hour}, Match: policy.AlertMatch{Families: []string{"access"}}, Line: 7},
		{Window: policy.Freeze{Name: "gate", Zone: berlin, From: 22 * time.Hour, To: 23 * time.Hour}, Channels: []string{"bus"}, Critical: true},
	}
	h := w.hold(broken(risk.High), "chat")
	if h == nil || h.Kind != alert.HoldMute || h.ID != "lunch" || !h.Until.Equal(monday().Add(time.Hour)) || h.Why != "the mute window lunch (policy.yaml:7)" {
		t.Fatalf("%+v", h)
	}
	other := broken(risk.High)
	other.Check = "CMK-010"
	if w.hold(broken(risk.Critical), "chat") != nil || w.hold(other, "chat") != nil || w.hold(broken(risk.High), "bus") != nil {
		t.Error("critical, another family, or a channel that nobody reads is muted")
	}
	w.clock = monday().Add(10 * time.Hour)
	if w.hold(broken(risk.Critical), "bus") == nil || w.hold(broken(risk.Critical), "chat") != nil {
		t.Error("a window for one channel, critical too, holds another, or not that one")
	}
	w.clock = monday().Add(time.Hour)
	if w.hold(broken(risk.High), "chat") != nil {
		t.Error("held when the window is over")
	}
}

// open puts an incident of the check into the subject's partition.
func (w *world) open(check string, s event.Subject, state incident.State) {
	w.t.Helper()
	raw, err := json.Marshal(incident.Incident{Check: check, Subject: s, State: state})
	if err != nil {
		w.t.Fatal(err)
	}
	row, ok, _ := w.state.Get(ctx, incident.Partition(s), incident.RowKey(check))
	op := store.Op{Kind: store.Insert, Key: incident.RowKey(check), Value: raw}
	if ok {
		op.Kind, op.ETag = store.Replace, row.ETag
	}
	w.put(incident.Partition(s), op)
}

func TestWhatFollowsFromAnotherIncidentIsHeld(t *testing.T) {
	t.Parallel()
	cluster, key := event.Subject{Kind: event.SubjectCluster, ID: "/c/pay"}, event.Subject{Kind: event.SubjectKey, ID: "kv-pay/kek"}
	vault := event.Subject{Kind: event.SubjectVault, ID: "/v/kv-pay"}
	upstream := []string{incident.Partition(cluster), incident.Partition(key), incident.Partition(vault)}
	of := func(check string, life alert.Lifecycle) alert.Alert {
		return alert.Alert{Check: check, Lifecycle: life, Severity: risk.Critical, Upstream: upstream}
	}
	for name, c := range map[string]struct {
		source string
		at     event.Subject
		alert  alert.Alert
		held   bool
	}{
		"access in a deleted vault":         {"CMK-036", cluster, of("CMK-050", alert.Trigger), true},
		"key of a deleted vault":            {"CMK-036", cluster, of("CMK-010", alert.Trigger), true},
		"expiry of a deleted key":           {"CMK-010", key, of("CMK-013", alert.Trigger), true},
		"access to a deleted key":           {"CMK-010", key, of("CMK-050", alert.Notice), true},
		"unread behind a firewall":          {"CMK-038", vault, of("CMK-013", alert.Notice), true},
		"expiry behind a firewall":          {"CMK-038", vault, of("CMK-013", alert.Trigger), false},
		"the source itself":                 {"CMK-036", cluster, of("CMK-036", alert.Trigger), false},
		"a cluster that fails":              {"CMK-036", cluster, of("CMK-004", alert.Trigger), false},
		"a stranger's version":              {"CMK-036", cluster, of("CMK-067", alert.Trigger), false},
		"an identity that is gone":          {"CMK-010", key, of("CMK-007", alert.Trigger), false},
		"a copied key":                      {"CMK-036", cluster, of("CMK-028", alert.Trigger), false},
		"the end":                           {"CMK-036", cluster, of("CMK-050", alert.Resolve), false},
		"what hangs on another":             {"CMK-036", cluster, alert.Alert{Check: "CMK-050", Lifecycle: alert.Trigger, Upstream: []string{"cluster~other"}}, false},
		"a row of the key named as cluster": {"CMK-036", key, of("CMK-050", alert.Trigger), false},
	} {
		w := newWorld(t)
		w.open(c.source, c.at, incident.Open)
		h := w.hold(c.alert, "pager")
		if (h != nil) != c.held {
			t.Errorf("%s: %+v", name, h)
			continue
		}
		if h != nil && (h.Kind != alert.HoldInhibition || h.ID != c.source+"/"+incident.Partition(c.at)) {
			t.Errorf("%s: %+v", name, h)
		}
		w.open(c.source, c.at, incident.Resolved)
		if h := w.hold(c.alert, "pager"); h != nil {
			t.Errorf("%s: held by what is over: %+v", name, h)
		}
		w.open(c.source, c.at, incident.Open)
		w.pol.Noise.KeepAll = true
		if h := w.hold(c.alert, "pager"); h != nil {
			t.Errorf("%s: held though the policy says otherwise: %+v", name, h)
		}
	}
}

// Every check that the table names exists, and no source is held by itself.
func TestTheTableNamesChecks(t *testing.T) {
	t.Parallel()
	for source, checks := range hold.Follows() {
		if _, ok := risk.Find(source); !ok {
			t.Errorf("source %s is no check", source)
		}
		if slices.Contains(checks, source) {
			t.Errorf("%s holds itself", source)
		}
		for _, c := range checks {
			if _, ok := risk.Find(c); !ok {
				t.Errorf("%s: %s is no check", source, c)
			}
		}
	}
}

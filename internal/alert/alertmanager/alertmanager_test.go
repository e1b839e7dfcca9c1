package alertmanager_test

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alertmanager"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
	"cmkguard/internal/store/memstore"
)

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]struct{ user, secret, auth string }{
		"basic":  {"cmk", "pass-secret", "Basic Y21rOnBhc3Mtc2VjcmV0"},
		"bearer": {"", "token-secret", "Bearer token-secret"},
		"open":   {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alerttest.Conform(t, alerttest.Kit{
				Open: func(url string) (alert.Channel, error) {
					return alertmanager.New(alertmanager.Options{Name: "am", URL: url, User: o.user, Secret: o.secret, Now: start, State: memstore.New(start).Backend().State})
				},
				Fake: alerttest.Alertmanager(o.auth), Seen: alerttest.SeenInAlertmanager, Secrets: []string{"pass-secret", "token-secret"},
			})
		})
	}
}

// receiver is an Alertmanager that remembers, as the real one does, in memory.
type receiver struct {
	*alerttest.Receiver
	ch *alertmanager.Channel
	at *time.Time
}

func world(t *testing.T) *receiver {
	t.Helper()
	now := start()
	r := &receiver{Receiver: alerttest.Listen(t, alerttest.Alertmanager(""), alerttest.Right), at: &now}
	var err error
	r.ch, err = alertmanager.New(alertmanager.Options{Name: "am", URL: r.URL, Now: func() time.Time { return now }, State: memstore.New(start).Backend().State})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// firing are the alerts that the receiver takes for open now, by severity: the last
// that it got of each set of labels counts; since is the first request it remembers.
func (r *receiver) firing(t *testing.T, since int) map[string]int {
	t.Helper()
	last := map[string]alerttest.PostableAlert{}
	for _, c := range r.Calls()[since:] {
		var all []alerttest.PostableAlert
		if err := json.Unmarshal(c.Body, &all); err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			raw, _ := json.Marshal(a.Labels)
			last[string(raw)] = a
		}
	}
	out := map[string]int{}
	for _, a := range last {
		if a.EndsAt.After(*r.at) {
			out[a.Labels["severity"]]++
		}
	}
	return out
}

func (r *receiver) send(t *testing.T, example string, change func(*alert.Alert)) {
	t.Helper()
	e, ok := examples.Find(example, *r.at)
	if !ok {
		t.Fatal(example)
	}
	if change != nil {
		change(&e.Alert)
	}
	if _, err := r.ch.Send(context.Background(), e.Alert); err != nil {
		t.Fatal(err)
	}
}

func (r *receiver) want(t *testing.T, when string, since int, want map[string]int) {
	t.Helper()
	if got := r.firing(t, since); !maps.Equal(got, want) {
		t.Errorf("%s: firing %v, want %v", when, got, want)
	}
}

func (r *receiver) refresh(t *testing.T) {
	t.Helper()
	if err := r.ch.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// An open problem stays open for as long as it is refreshed, survives a receiver that
// forgot everything, and ends when it is resolved, whatever its labels became.
func TestTheLifeOfAnAlert(t *testing.T) {
	t.Parallel()
	r := world(t)
	r.send(t, "near-expiry", nil)
	r.want(t, "opened", 0, map[string]int{"medium": 1})
	for range 24 {
		*r.at = r.at.Add(5 * time.Hour)
		r.refresh(t)
		r.want(t, "refreshed", 0, map[string]int{"medium": 1})
	}
	forgot := len(r.Calls())
	r.refresh(t)
	r.want(t, "after the receiver restarted", forgot, map[string]int{"medium": 1})

	r.send(t, "near-expiry", func(a *alert.Alert) { a.Lifecycle, a.Severity = alert.Update, risk.High })
	r.want(t, "worse", 0, map[string]int{"high": 1})
	r.send(t, "near-expiry", func(a *alert.Alert) { a.Lifecycle, a.Severity = alert.Acknowledge, risk.High })
	r.refresh(t)
	r.want(t, "acknowledged", 0, map[string]int{"high": 1})
	r.send(t, "near-expiry", func(a *alert.Alert) { a.Lifecycle, a.Severity = alert.Resolve, risk.High })
	r.want(t, "resolved", 0, map[string]int{})
	r.refresh(t)
	r.want(t, "resolved and refreshed", 0, map[string]int{})
	*r.at = r.at.Add(2 * time.Hour)
	r.refresh(t)
	before := len(r.Calls())
	r.refresh(t)
	if n := len(r.Calls()); n != before {
		t.Errorf("what is over for hours is still sent: %d requests", n-before)
	}
	r.send(t, "near-expiry", nil)
	r.want(t, "opened again", 0, map[string]int{"medium": 1})
}

// What is told once, and would never end, ends by itself and is not refreshed.
func TestANoticeIsNotKept(t *testing.T) {
	t.Parallel()
	r := world(t)
	r.send(t, "rotation-done", nil)
	r.want(t, "told", 0, map[string]int{"info": 1})
	n := len(r.Calls())
	r.refresh(t)
	*r.at = r.at.Add(61 * time.Minute)
	r.want(t, "an hour on", 0, map[string]int{})
	if len(r.Calls()) != n {
		t.Error("a notice was refreshed")
	}
}

// A Refresh that read before the end and arrived after it would open the alert again:
// the next one closes it.
func TestALateRefreshIsUndone(t *testing.T) {
	t.Parallel()
	r := world(t)
	r.send(t, "key-deleted", nil)
	r.refresh(t)
	late := r.Calls()[1].Body
	r.send(t, "resolved", nil)
	if _, err := post(t, r.URL, late); err != nil {
		t.Fatal(err)
	}
	r.want(t, "after the late request", 0, map[string]int{"critical": 1})
	*r.at = r.at.Add(time.Minute)
	r.refresh(t)
	r.want(t, "after the next sweep", 0, map[string]int{})
}

// A store that is gone holds nothing up where no record is wanted, and has the alert
// sent again where it is.
func TestWithoutAStore(t *testing.T) {
	t.Parallel()
	r := world(t)
	gone, err := alertmanager.New(alertmanager.Options{Name: "am", URL: r.URL, Now: start, State: dead{}})
	if err != nil {
		t.Fatal(err)
	}
	e, _ := examples.Find("key-deleted", start())
	if _, err := gone.Send(context.Background(), e.Alert); !fault.Is(err, fault.Transient) {
		t.Errorf("%v", err)
	}
	e.Alert.Unrecorded = true
	if _, err := gone.Send(context.Background(), e.Alert); err != nil {
		t.Errorf("unrecorded: %v", err)
	}
	if err := gone.Refresh(context.Background()); err == nil {
		t.Error("a refresh without a store found nothing to say")
	}
	without, err := alertmanager.New(alertmanager.Options{URL: r.URL, Now: start})
	if err != nil {
		t.Fatal(err)
	}
	e.Alert.Unrecorded = false
	if _, err := without.Send(context.Background(), e.Alert); err != nil || without.Refresh(context.Background()) != nil {
		t.Errorf("%v", err)
	}
}

func TestLabelsAndAnnotations(t *testing.T) {
	t.Parallel()
	r := world(t)
	r.send(t, "key-deleted", func(a *alert.Alert) {
		a.Drill, a.DedupKey, a.Runbook = true, "cmkguard/drill/"+a.DedupKey, "https://wiki.example.com/cmk#cmk-010"
	})
	var all []alerttest.PostableAlert
	if err := json.Unmarshal(r.Calls()[0].Body, &all); err != nil {
		t.Fatal(err)
	}
	l, a := all[0].Labels, all[0].Annotations
	if l["alertname"] != "CMK-010" || l["severity"] != "critical" || l["vault"] != "kv-shop" || l["drill"] != "true" || !strings.HasPrefix(l["incident"], "cmkguard/drill/") {
		t.Errorf("labels %v", l)
	}
	if a["runbook_url"] != "https://wiki.example.com/cmk#cmk-010" || !strings.HasPrefix(all[0].GeneratorURL, "https://cmkguard.example.com/api/approvals/") ||
		!strings.Contains(a["description"], "cmkguard approve recover-key~") || !strings.HasPrefix(a["summary"], "[DRILL] CRITICAL Key deleted") {
		t.Errorf("annotations %v, generator %s", a, all[0].GeneratorURL)
	}
}

// Package alerttest holds what every channel that speaks HTTP must do, as a
// table that each runs against a real server. It is for tests only.
package alerttest

import (
	"net/http"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

// verdict is what the dispatcher does with an answer.
type verdict string

const (
	delivered verdict = "delivered"
	again     verdict = "tried again"
	givenUp   verdict = "given up"
)

// Sample returns an alert with every field set, made at the time.
func Sample(id string, at time.Time) alert.Alert {
	by := at.Add(30 * time.Hour)
	return alert.Alert{
		ID: id, DedupKey: "cmkguard/CMK-050/pay-cache", GroupKey: "kv-pay", Lifecycle: alert.Trigger, Severity: risk.Critical,
		Check: "CMK-050", Title: "Broken: the identity cannot unwrap (CMK-050): pay-cache", What: "no grant of unwrap on the key",
		Subject: "cluster:/subscriptions/1/pay-cache", At: at, Since: at.Add(-time.Hour), Breaks: "the cache goes offline", By: &by,
		Impact: []alert.Impact{{Cluster: "/subscriptions/1/pay-cache", Name: "pay-cache", Owner: "payments"}},
		Done:   []string{"held: restore-grant needs an approval"}, Next: []string{"cmkguard show pay-cache"}, Ref: "signal-1",
		Evidence: []string{"arm GET roleAssignments: none"},
	}
}

// StatusTable has send deliver one alert to a server that answers by h, once
// per status, and checks what the dispatcher would make of the error. A delay
// that the receiver asks for must be on the error.
func StatusTable(t *testing.T, send func(t *testing.T, h http.HandlerFunc) error) {
	t.Helper()
	for status, want := range map[int]verdict{
		200: delivered,
		400: givenUp, 401: givenUp, 403: givenUp, 404: givenUp, 410: givenUp, 413: givenUp,
		408: again, 429: again, 500: again, 502: again, 503: again, 504: again,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			err := send(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(status)
			})
			if got := judge(err); got != want {
				t.Errorf("%d: %s, want %s (%v)", status, got, want, err)
			}
			if status == http.StatusTooManyRequests && fault.RetryAfter(err) != 7*time.Second {
				t.Errorf("%d: Retry-After is %s, want 7s", status, fault.RetryAfter(err))
			}
			if class := alert.ClassOf(err); (status == 429) != (class == alert.ClassRate) {
				t.Errorf("%d: class %s", status, class)
			}
			if (status == 401 || status == 403) && !fault.Is(err, fault.Denied) {
				t.Errorf("%d: %s, want denied", status, fault.KindOf(err))
			}
		})
	}
}

func judge(err error) verdict {
	switch {
	case err == nil:
		return delivered
	case fault.Is(err, fault.Invalid), fault.Is(err, fault.Denied):
		return givenUp
	}
	return again
}

package alert_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/risk"
)

// The examples of what is told together are what is made of their members.
func TestTheExamplesAreWhatIsTold(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"digest": 0, "storm": 20} {
		e, _ := examples.Find(name, examples.At())
		want := e.Alert
		k := stormy(t, "chat")
		k.rules.Group = grouped(t).rules.Group
		k.clock = want.Since
		k.d = k.boot()
		for n := range before { // told by themselves, until it is a storm
			part, a := inVault(n, alert.Trigger, risk.Critical)
			k.put(part, a, alert.To("chat")...)
			k.tend(part)
		}
		var parts []string
		for n, m := range want.Members {
			c, _ := risk.Find(m.Title[len(m.Title)-8 : len(m.Title)-1])
			parts = append(parts, fmt.Sprintf("vault~%d", n))
			k.put(parts[n], alert.Alert{
				ID: m.ID, DedupKey: m.DedupKey, Check: c.ID, Lifecycle: m.Lifecycle, Severity: m.Severity, Title: m.Title, Subject: m.Subject,
				Vault: "kv-shop", Breaks: c.Breaks, Impact: want.Impact, At: k.clock.Add(time.Duration(n)),
			}, alert.To("chat")...)
			k.tend(parts[n])
			k.clock = k.clock.Add(time.Millisecond)
		}
		k.wait(31*time.Second, time.Second, parts...)
		got := k.chans["chat"].got
		if len(got) != before+1 {
			t.Fatalf("%s: %d messages", name, len(got))
		}
		if diff := cmp.Diff(want, got[before], cmpopts.IgnoreFields(alert.Alert{}, "ID", "DedupKey", "Ref", "At", "Since")); diff != "" {
			t.Errorf("%s (-example +told): %s", name, diff)
		}
	}
}

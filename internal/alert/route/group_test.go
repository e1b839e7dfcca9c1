package route_test

import (
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/route"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
)

func TestGroup(t *testing.T) {
	t.Parallel()
	a := alert.Alert{
		Check: "CMK-050", Severity: risk.High, Vault: "kv-pay", Subject: "key:kv-pay.vault.azure.net/kek", Upstream: []string{"cluster~1", "key~2"},
		Impact: []alert.Impact{{Cluster: "/subscriptions/S-1/x", Owner: "bob"}, {Cluster: "/subscriptions/s-1/y", Owner: "anna"}, {Owner: "bob"}},
	}
	for _, c := range []struct {
		by        []string
		key, name string
	}{
		{[]string{"vault"}, "vault=kv-pay", "vault kv-pay"},
		{[]string{"key"}, "key=key~2", "key kv-pay.vault.azure.net/kek"},
		{[]string{"check", "severity"}, "check=CMK-050|severity=high", "check CMK-050, severity high"},
		{[]string{"family"}, "family=access", "family access"},
		{[]string{"subscription"}, "subscription=s-1", "subscription s-1"},
		{[]string{"owner"}, "owner=anna+bob", "owner anna+bob"},
	} {
		p := &policy.Policy{Channels: []policy.Channel{{Name: "chat", Group: &policy.Group{By: c.by, Wait: time.Second, Interval: time.Minute}}, {Name: "mail"}}}
		if g, ok := route.Group(p, a, "chat"); !ok || g != (alert.Group{Key: c.key, Name: c.name, Wait: time.Second, Every: time.Minute}) {
			t.Errorf("by %v: %+v %v", c.by, g, ok)
		}
		if _, ok := route.Group(p, a, "mail"); ok {
			t.Errorf("by %v: mail is not grouped", c.by)
		}
		if _, ok := route.Group(p, alert.Alert{}, "chat"); ok && c.by[0] != "family" {
			t.Errorf("by %v: an alert without it is told alone", c.by)
		}
	}
	p := &policy.Policy{Channels: []policy.Channel{{Name: "chat", Group: &policy.Group{By: []string{"key"}}}}}
	a.Subject = "cluster:/x"
	if g, ok := route.Group(p, a, "chat"); !ok || g.Key != "key=key~2" || g.Name != "one key of vault kv-pay" {
		t.Errorf("what hangs on the key: %+v %v", g, ok)
	}
}

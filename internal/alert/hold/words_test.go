package hold_test

import (
	"testing"

	"cmkguard/internal/alert/hold"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
)

func TestASilenceSaysWhatItKeepsBack(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]policy.AlertMatch{
		"every alert of CMK-010 about key:kv-a.vault.azure.net/kek":                                                          {Checks: []string{"CMK-010"}, Subjects: []string{"key:kv-a.vault.azure.net/kek"}},
		"every alert about the vault kv-a or kv-b and what hangs on it: its keys, and clusters whose key lies there":         {Vaults: []string{"kv-a", "kv-b"}},
		"every alert of at least high of CMK-05* of the family access; critical ones are told all the same":                  {MinSeverity: risk.High, Checks: []string{"CMK-05*"}, Families: []string{"access"}},
		"every alert of severity low or info in the state update about cache-*; critical ones are told all the same":         {Severities: []risk.Severity{risk.Low, risk.Info}, Lifecycle: []string{"update"}, Subjects: []string{"cache-*"}},
		"every alert that hits the subscription s that hits a cluster with a=b and c=*; critical ones are told all the same": {Subscriptions: []string{"s"}, Tags: map[string]string{"c": "*", "a": "b"}},
	} {
		if got := hold.Words(m); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

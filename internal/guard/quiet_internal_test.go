package guard

import (
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/risk"
)

// A name with a star in it would be a pattern: it is no scope, so that a silence never
// keeps back more than its words say, and nothing critical by a pattern.
func TestANameThatIsAPatternIsNotOffered(t *testing.T) {
	t.Parallel()
	g := &Guard{Now: time.Now}
	offered := func(sev risk.Severity, subject event.Subject, vault string) (out []Scope) {
		i := incident.Incident{Check: "CMK-050", Subject: subject}
		a := alert.Alert{Check: "CMK-050", Severity: sev, Subject: subject.String(), Vault: vault}
		for _, q := range g.quiets(i, a) {
			out = append(out, q.Scope)
		}
		return out
	}
	for _, c := range []struct {
		subject, vault string
		want           int
	}{{"/x/cache-a", "kv-a", 3}, {"/x/cache-a", "", 2}, {"/x/cache-*", "kv-a", 1}, {"*", "*", 0}, {"/x/cache-a", "kv-*", 2}} {
		for _, sev := range []risk.Severity{risk.Critical, risk.Low} {
			if got := offered(sev, event.Subject{Kind: event.SubjectCluster, ID: c.subject}, c.vault); len(got) != c.want {
				t.Errorf("%s: %s in %q: %v", sev, c.subject, c.vault, got)
			}
		}
	}
}

func TestTheVaultThatASubjectNames(t *testing.T) {
	t.Parallel()
	for s, want := range map[event.Subject]string{
		{Kind: event.SubjectKey, ID: "KV-A.vault.azure.net/kek"}: "kv-a",
		{Kind: event.SubjectVault, ID: "/x/vaults/KV-A"}:         "kv-a",
		{Kind: event.SubjectCluster, ID: "/x/cache-a"}:           "",
	} {
		if got := vaultOfSubject(s); got != want {
			t.Errorf("%s: %q, want %q", s, got, want)
		}
	}
}

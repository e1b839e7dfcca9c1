package guard_test

import (
	"fmt"
	"net/http"
	"strings"

	"cmkguard/internal/approval"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
)

// judge holds every call since the last step against the law.
func (m *model) judge(step string) {
	m.rt.Helper()
	calls := m.sim.Calls()
	for _, c := range calls[m.seen:] {
		if c.Method == http.MethodGet || c.Caller == "" || c.Status == http.StatusUnauthorized || strings.HasSuffix(c.Path, "/resources") {
			continue
		}
		if why := m.wrong(c); why != "" {
			m.rt.Fatalf("after %q: %s: %s %s%s %s", step, why, c.Method, c.Host, c.Path, c.Body)
		}
	}
	m.seen = len(calls)
	if m.others != "" && m.theirs() != m.others {
		m.rt.Fatalf("after %q: other people's access is %s, was %s", step, m.theirs(), m.others)
	}
}

func (m *model) wrong(c azuresim.Call) string {
	body, path := strings.ToLower(string(c.Body)), strings.ToLower(c.Path)
	switch {
	case c.Method == http.MethodDelete || strings.Contains(path, "/purge"):
		return "something was deleted"
	case strings.Contains(body, `"enabled":false`) || strings.Contains(body, "enablerbacauthorization") || strings.Contains(body, `"enablepurgeprotection":false`):
		return "something was switched off"
	case m.paused && m.g.Policy.Pause:
		return "a change in a pause"
	case strings.HasSuffix(path, "/rotate"):
		return m.unlessStarted(plan.Rotate, 0)
	case strings.HasSuffix(path, "/recover"):
		return m.unlessStarted(plan.RecoverKey, 2)
	case strings.HasSuffix(path, "/rotationpolicy"):
		return m.unlessStarted(plan.SetRotationPolicy, 0)
	case strings.Contains(path, "/diagnosticsettings/"):
		return m.unlessStarted(plan.RestoreDiagnostics, 0)
	case strings.Contains(path, "/systemtopics/"):
		return m.unlessStarted(plan.RecreateEvents, 0)
	case strings.Contains(path, "/roleassignments/"):
		return m.unlessStarted(plan.RestoreGrant, 2)
	case strings.Contains(path, "/accesspolicies/"):
		if !strings.HasSuffix(path, "/add") || !m.g.Policy.Declared.AccessPolicies {
			return "access policies are not ours to write"
		}
		return m.unlessStarted(plan.RestoreGrant, 2)
	case c.Host == safe && strings.HasSuffix(path, "/keys/orders/create"):
		return m.unlessStarted(plan.Quarantine, 2)
	case strings.Contains(path, "/vaults/") && c.Method == http.MethodPut:
		return m.unlessStarted(plan.RecoverVault, 2)
	case strings.Contains(path, "/vaults/"):
		return m.either(plan.OpenTrustedBypass, plan.EnablePurgeProtection)
	case strings.HasPrefix(path, "/keys/"):
		return m.either(plan.ReenableVersion, plan.FixKeyOps)
	case strings.Contains(path, "/redisenterprise/") && strings.Contains(body, "customermanagedkeyencryption"):
		return m.wrongMove(body)
	case strings.Contains(path, "/redisenterprise/"):
		return m.unlessStarted(plan.AttachIdentity, 2)
	}
	return "a call that nothing of ours should make"
}

func (m *model) either(a, b string) string {
	if why := m.unlessStarted(a, 2); why == "" {
		return ""
	}
	return m.unlessStarted(b, 2)
}

// unlessStarted is empty if a plan of the remedy was started and, where people are
// needed, that many answered yes and nobody no.
func (m *model) unlessStarted(remedy string, people int) string {
	for _, h := range m.all() {
		if h.Plan.Remedy != remedy || !h.Started && !m.was(h) {
			continue
		}
		yes := 0
		for _, k := range m.answers[h.Plan.ID] {
			if k == approval.Approve {
				yes++
			}
		}
		if yes >= people {
			return ""
		}
	}
	return fmt.Sprintf("%s without a started plan that %d people approved", remedy, people)
}

// was reports whether the plan was started before: one that failed is held again later.
func (m *model) was(h guard.Held) bool {
	_, begun, err := m.b.State.Get(ctx, h.Partition, "saga~"+h.Plan.ID)
	must(m.t, err)
	return begun
}

// wrongMove: a cluster stays with its key, and goes to no stranger's version unless
// people decided it.
func (m *model) wrongMove(body string) string {
	if strings.Contains(body, newKey().ID()) || strings.Contains(body, strings.ToLower(newKey().String())) {
		return m.unlessStarted(plan.Quarantine, 2) // also a rewire to a newer version of that key
	}
	if !strings.Contains(body, strings.ToLower(m.key.ID())) && !strings.Contains(body, "/keys/kek/") {
		return "the cluster was given another key, or none"
	}
	for v := range m.strangers {
		if strings.Contains(body, v) && m.unlessStarted(plan.RollBackDowngrade, 2) != "" && m.unlessStarted(plan.Undo, 2) != "" {
			return "the cluster was moved to a stranger's version"
		}
	}
	if m.unlessStarted(plan.Rotate, 0) != "" && m.unlessStarted(plan.Rewire, 0) != "" && m.unlessStarted(plan.RollBackDowngrade, 2) != "" && m.unlessStarted(plan.Undo, 2) != "" {
		return "a move without a plan"
	}
	return ""
}

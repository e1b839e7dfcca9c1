package survey_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// listed reads every cluster as a sweep over everything does.
func (e *estate) listed(t *testing.T) (*survey.Run, map[string]wiring.Wiring) {
	t.Helper()
	e.sim.Clock().Advance(10 * time.Second) // Resource Graph counts queries by time
	run, out := e.survey.Run(), map[string]wiring.Wiring{}
	err := run.Pages(context.Background(), func(page []survey.Listed) error {
		for _, c := range page {
			out[c.ID.Key()] = run.Listed(context.Background(), c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return run, out
}

// answers are the verdicts without what differs by when and how they were read.
func answers(vs []risk.Verdict) (out []string) {
	for _, v := range vs {
		out = append(out, fmt.Sprintf("%s %s %s %s", v.Check, v.Subject, v.Answer, v.Severity))
	}
	return out
}

// What a sweep reads from lists to stay within its bound gives the verdicts of a
// run that reads each thing by itself, in the healthy world and every broken one.
func TestListsGiveTheVerdictsOfSingleReads(t *testing.T) {
	t.Parallel()
	all := append(append(brokenChains(), brokenSurroundings()...), breakage{check: "none", name: "healthy", do: func(*estate) {}})
	for _, b := range all {
		t.Run(b.check+" "+b.name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			b.do(e)
			run, ws := e.listed(t)
			w, ok := ws[orders().Key()]
			if !ok {
				t.Fatalf("the list lacks %s", orders())
			}
			if diff := cmp.Diff(answers(e.judge(t)), answers(e.judged(t, run, w))); diff != "" {
				t.Errorf("read by itself (-) and from lists (+):\n%s", diff)
			}
		})
	}
}

// A group's role is not in the list of the principal's own: the principal's
// assignments are then read by themselves.
func TestAGroupsRoleIsReadByItself(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	for _, role := range []string{"", azuresim.RoleCryptoServiceEncryptionUser} {
		if role != "" {
			e.sim.AssignAs(azuresim.RoleAssignment{Scope: kvID, RoleID: role, PrincipalID: "66666666-6666-6666-6666-666666666666", Type: "Group"})
		}
		_, ws := e.listed(t)
		if call := ws[orders().Key()].Assignments.Call; survey.FromList(call) != (role == "") {
			t.Errorf("with a group's role %q the assignments come by %s", role, call)
		}
	}
}

// A row that cannot be read as a cluster, an identity that the list hides and a
// vault that it hides are each read by themselves.
func TestWhatAListLacksIsReadByItself(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	run := e.survey.Run()
	c := survey.Listed{ID: orders(), Fact: wiring.Failed[wiring.Cluster]("graph list: clusters", e.sim.Clock().Now(), "odd")}
	w := run.Listed(context.Background(), c)
	if !w.Cluster.OK() || !strings.HasPrefix(w.Cluster.Call, "arm GET ") {
		t.Errorf("%+v", w.Cluster)
	}
	e.sim.HideFromGraph(azureid.MustResource(uami))
	e.sim.HideFromGraph(azureid.MustResource(kvID))
	_, ws := e.listed(t)
	w = ws[orders().Key()]
	if !w.Identity.OK() || !strings.HasPrefix(w.Identity.Call, "arm GET ") {
		t.Errorf("%+v", w.Identity)
	}
	if w.Vault.State != wiring.Unreadable {
		t.Errorf("a vault that no list shows is %s, not unknown: %+v", w.Vault.State, w.Vault)
	}
}

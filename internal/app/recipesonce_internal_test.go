package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
)

// jiraOn is the recipe's channel to a site, at a clock that the caller moves.
func jiraOn(t *testing.T, r *alerttest.Receiver, with string, now *time.Time) func(name string) (string, error) {
	t.Helper()
	public, err := cloud.Load("public")
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("  - {name: a, kind: webhook, recipe: jira, with: {project: OPS, issueType: Incident%s}, url: \"%s\", user: u, secretRef: S}\n", with, r.URL)
	c, err := configuredAt(public, text, "p", func() time.Time { return *now })
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) (string, error) {
		e, _ := examples.Find(name, at())
		return c.Send(t.Context(), e.Alert)
	}
}

// One problem is one issue in Jira, and what becomes of it is told there; a transition
// ends it, and the next episode is another.
func TestAnIssueIsOpenedOnce(t *testing.T) {
	t.Parallel()
	var site alerttest.JiraSite
	now := at().Add(time.Hour)
	r := alerttest.Listen(t, alerttest.Jira("Basic dTpw", "OPS", &site, false), alerttest.Right)
	send := jiraOn(t, r, ", transition: \"31\"", &now)
	for _, name := range []string{"key-deleted", "key-deleted", "reminder", "acknowledged", "resolved"} {
		if id, err := send(name); err != nil || id != "OPS-24" {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
	all := site.Issues()
	if len(all) != 1 || !all[0].Done || len(all[0].Comments) != 3 || all[0].Type != "Incident" || !strings.Contains(all[0].Comments[1], "Nobody answered") {
		t.Fatalf("%+v", all)
	}
	if id, err := send("resolved"); err != nil || id != "not sent: the receiver has nothing open of it" {
		t.Errorf("ended again: %q, %v", id, err)
	}
	if id, err := send("key-deleted"); err != nil || id != "OPS-25" {
		t.Errorf("the next episode: %q, %v", id, err)
	}
	if id, err := jiraOn(t, r, "", &now)("resolved"); err != nil || id != "OPS-25" || site.Issues()[1].Done || !strings.Contains(site.Issues()[1].Comments[0], "RESOLVED") {
		t.Errorf("without a transition: %q, %v, %+v", id, err, site.Issues()[1])
	}
}

// A search that is behind: where an issue may have been opened, it is looked for again
// only when it can be found, and an end is not given up before.
func TestAnIssueThatIsNotFoundYet(t *testing.T) {
	t.Parallel()
	var site alerttest.JiraSite
	now := at()
	r := alerttest.Listen(t, alerttest.Jira("Basic dTpw", "OPS", &site, false), alerttest.Right)
	send := jiraOn(t, r, "", &now)
	site.Lag(true)
	r.Lose(http.MethodPost)
	if _, err := send("key-deleted"); !fault.Is(err, fault.Unknown) || fault.RetryAfter(err) != 2*time.Minute || len(site.Issues()) != 1 {
		t.Fatalf("a lost answer: %v, again after %s, %d issues", err, fault.RetryAfter(err), len(site.Issues()))
	}
	now = now.Add(30 * time.Second)
	if _, err := send("resolved"); !fault.Is(err, fault.Transient) || fault.RetryAfter(err) != 90*time.Second {
		t.Errorf("an end too soon: %v, again after %s", err, fault.RetryAfter(err))
	}
	site.Lag(false)
	for _, name := range []string{"key-deleted", "resolved"} {
		if id, err := send(name); err != nil || id != "OPS-24" {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
	if len(site.Issues()) != 1 {
		t.Errorf("%+v", site.Issues())
	}
}

// One problem is one incident in ServiceNow's table, however often it is sent and
// whatever became of the answers; a new episode is a new one.
func TestAnIncidentIsOpenedOnce(t *testing.T) {
	t.Parallel()
	var table alerttest.SnowTable
	r := alerttest.Listen(t, alerttest.ServiceNowIncident("Basic dTpw", &table, false), alerttest.Right)
	public, err := cloud.Load("public")
	if err != nil {
		t.Fatal(err)
	}
	c, err := configured(public, fmt.Sprintf("  - {name: a, kind: webhook, recipe: servicenow-incident, url: \"%s\", user: u, secretRef: S}\n", r.URL), "p")
	if err != nil {
		t.Fatal(err)
	}
	send := func(name string) (string, error) {
		e, _ := examples.Find(name, at())
		return c.Send(t.Context(), e.Alert)
	}
	if id, err := send("resolved"); err != nil || id != "not sent: the receiver has nothing open of it" || len(table.Incidents()) != 0 {
		t.Errorf("the end of what is not there: %q, %v", id, err)
	}
	// The request that opens it takes effect, and its answer is lost.
	lost := r.Lose(http.MethodPost)
	if _, err := send("key-deleted"); !fault.Is(err, fault.Unknown) {
		t.Fatalf("a lost answer: %v", err)
	}
	if n := lost(); n != 1 || len(table.Incidents()) != 1 {
		t.Fatalf("%d answers lost, %d incidents", n, len(table.Incidents()))
	}
	for _, name := range []string{"key-deleted", "reminder", "acknowledged"} {
		if id, err := send(name); err != nil || id != "INC0010001" {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
	first := table.Incidents()[0]
	if len(table.Incidents()) != 1 || len(first.Notes) != 3 || first.Impact != "1" || !strings.HasPrefix(first.CorrelationID, "cmkguard/CMK-010/") || first.State != "1" {
		t.Fatalf("%+v", table.Incidents())
	}
	if _, err := send("resolved"); err != nil {
		t.Fatal(err)
	}
	if done := table.Incidents()[0]; done.State != "6" || done.CloseCode != "Solution provided" || !strings.Contains(done.CloseNotes, "RESOLVED") {
		t.Errorf("%+v", done)
	}
	if _, err := send("key-deleted"); err != nil || len(table.Incidents()) != 2 {
		t.Errorf("the next episode: %d incidents, %v", len(table.Incidents()), err)
	}
}

// A search that is answered by something else than a list is no proof that there is
// nothing: nothing is opened.
func TestWhatIsNoListOpensNothing(t *testing.T) {
	t.Parallel()
	public, err := cloud.Load("public")
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range []string{`<html>sign in</html>`, `{}`, `{"result":null}`, `{"result":{"sys_id":"x"}}`, `{"result":[{}]}`, `{"result":["x"]}`, `{"result":[`, ``} {
		p := alerttest.Provider{OK: http.StatusOK, Refuse: func(*http.Request, []byte) *alerttest.Refusal { return nil },
			Answer: func(w http.ResponseWriter, _ *http.Request, _ []byte) { fmt.Fprint(w, answer) }}
		r := alerttest.Listen(t, p, alerttest.Right)
		c, err := configured(public, fmt.Sprintf("  - {name: a, kind: webhook, recipe: servicenow-incident, url: \"%s\", user: u, secretRef: S}\n", r.URL), "p")
		if err != nil {
			t.Fatal(err)
		}
		e, _ := examples.Find("key-deleted", at())
		if _, err := c.Send(t.Context(), e.Alert); !fault.Is(err, fault.Transient) || len(r.Calls()) != 1 {
			t.Errorf("%s: %d calls, %v", answer, len(r.Calls()), err)
		}
	}
}

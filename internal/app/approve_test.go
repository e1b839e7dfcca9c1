package app_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/localhost"
)

const (
	approvers = "55555555-5555-5555-5555-555555555555"
	directory = "44444444-4444-4444-4444-444444444444"
)

// keyed is a world with a cluster whose key is near its expiry.
func keyed(t *testing.T) (sim *azuresim.Sim, key azureid.Key, env []string, dir string) {
	t.Helper()
	sim = azuresim.New(azuresim.Options{Wall: time.Now})
	m := sim.AddSample("v1", 365*24*time.Hour)
	srv, err := sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	dir = t.TempDir()
	profile, err := srv.WriteProfile(dir, m.Token)
	if err != nil {
		t.Fatal(err)
	}
	return sim, m.Key, []string{
		"CMKGUARD_STATE=file:" + filepath.Join(dir, "state"), "CMKGUARD_CLOUD=" + profile,
		"CMKGUARD_SUBSCRIPTIONS=" + m.Subscription, "CMKGUARD_REMEDIATOR_CLIENT_ID=remediator",
	}, dir
}

func object(n string) string { return "00000000-0000-0000-0000-0000000000a" + n }

// TestTwoPeopleBringADeletedKeyBack goes the whole way through the program: a key
// is deleted, the alert names the plan, two people with tokens of their own approve
// it, and the key is back.
func TestTwoPeopleBringADeletedKeyBack(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := keyed(t)
	sim.ChangeVersion(key, func(v *azuresim.Version) { v.Expires = nil })
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nremedies: {recover-key: approve}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env, "CMKGUARD_POLICY="+file, "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers)
	url, out, _ := serve(t, env)
	sim.DeleteKey(key)
	post(t, url, sim.AccessPolicyChanged(key.Host, "e1"))
	id := ""
	eventually(t, out, "an alert that names the plan to approve", func() bool {
		m := regexp.MustCompile(`cmkguard approve (recover-key~[0-9a-f]+)`).FindStringSubmatch(out.String())
		if m != nil {
			id = m[1]
		}
		return m != nil
	})
	if text, code := run(t, env, "plan", id); code != 0 || !strings.Contains(text, "POST https://kv-a.vault.azure.net/deletedkeys/kek/recover") || !strings.Contains(text, "IRREVERSIBLE") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	as := func(n string, claims map[string]any) []string {
		return append([]string{"CMKGUARD_APPROVER_TOKEN=" + sim.SignIn(object(n), approvers, claims)}, env...)
	}
	for name, who := range map[string][]string{
		"no token that proves anything": append([]string{"CMKGUARD_APPROVER_TOKEN=token"}, env...),
		"a person without the role":     as("9", map[string]any{"roles": []string{}}),
		"an application":                as("9", map[string]any{"idtyp": "app"}),
	} {
		if text, code := run(t, who, "approve", id, "--reason", "let me"); code != 1 || !strings.Contains(text, "proves nobody") {
			t.Errorf("%s: exit %d:\n%s", name, code, text)
		}
	}
	for _, n := range []string{"1", "2"} {
		if text, code := run(t, as(n, nil), "approve", id, "--reason", "deleted by mistake"); code != 0 {
			t.Fatalf("exit %d:\n%s", code, text)
		}
	}
	eventually(t, out, "the key to be recovered", func() bool {
		sim.Clock().Advance(time.Second)
		return sim.Count(http.MethodPost, "/deletedkeys/kek/recover") == 1
	})
	eventually(t, out, "the end to be told", func() bool {
		sim.Clock().Advance(time.Second)
		return strings.Contains(out.String(), "Done: recover-key")
	})
	if text, code := run(t, env, "audit", "verify"); code != 0 {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	if text, _ := run(t, env, "audit", "export"); strings.Count(text, `"kind":"decision"`) != 2 || strings.Contains(text, "eyJ") {
		t.Fatal("the record holds other than two decisions, or a token")
	}
}

func TestPlanShowsWhatWouldRunAndStoresNothing(t *testing.T) {
	t.Parallel()
	_, _, env, dir := keyed(t)
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nremedies: {rotate: auto, rewire: auto}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, code := run(t, env, "plan")
	if code != 0 || !strings.Contains(text, "dry run") || !strings.Contains(text, "1 plans, 0 of them would run now") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	live := append([]string{"CMKGUARD_POLICY=" + file, "CMKGUARD_REMEDIATOR_CLIENT_ID=remediator"}, env...)
	for range 2 { // the second time as the first: nothing is remembered
		if text, code = run(t, live, "plan"); code != 3 || !strings.Contains(text, "1 plans, 1 of them would run now") {
			t.Fatalf("exit %d:\n%s", code, text)
		}
	}
}

func TestErasureIsDecidedByTwoAndCertified(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	env = append(env, "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers)
	certificate := func() (c struct {
		State, PurgeAt string
		Versions       []string
	}, code int) {
		text, code := run(t, env, "erase", key.String(), "--certificate")
		if i := strings.LastIndex(text, "}"); i < 0 || json.Unmarshal([]byte(text[strings.Index(text, "{"):i+1]), &c) != nil {
			t.Fatalf("not a certificate:\n%s", text)
		}
		return c, code
	}
	if c, code := certificate(); c.State != "not-decided" || code != 3 {
		t.Fatalf("%+v, exit %d", c, code)
	}
	for _, n := range []string{"1", "2"} {
		who := append([]string{"CMKGUARD_APPROVER_TOKEN=" + sim.SignIn(object(n), approvers, nil)}, env...)
		if text, code := run(t, who, "erase", key.String(), "--reason", "contract 17 ended"); code != 0 {
			t.Fatalf("exit %d:\n%s", code, text)
		}
	}
	if c, code := certificate(); c.State != "live" || code != 3 {
		t.Fatalf("%+v, exit %d", c, code)
	}
	sim.DeleteKey(key)
	if c, code := certificate(); c.State != "deleted" || c.PurgeAt == "" || code != 0 || !slices.Contains(c.Versions, key.Version) {
		t.Fatalf("%+v, exit %d", c, code)
	}
	sim.ChangeVault(key.Host, func(v *azuresim.Vault) { v.Deleted = true })
	if c, code := certificate(); c.State != "unknown" || code != 3 { // it comes back with the vault
		t.Fatalf("a deleted vault: %+v, exit %d", c, code)
	}
}

// answered is what an HTTP function's caller gets.
type answered struct {
	Status string            `json:"statusCode"`
	Header map[string]string `json:"headers"`
	Body   string            `json:"body"`
}

// ask calls the approvals function as the host does for a caller.
func ask(t *testing.T, base, method, id, body string, header ...localhost.Pair) answered {
	t.Helper()
	r := localhost.HTTPRequest{URL: "https://app.example.com/api/approvals/" + id, Method: method, Headers: header, Params: []localhost.Pair{{Name: "id", Value: id}}}
	if body != "" {
		r.Body = []byte(body)
	}
	raw, err := localhost.HTTPEnvelope(call("approvals"), "req", r)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(base+"/approvals", "application/json", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Outputs map[string]answered }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return out.Outputs["res"]
}

// TestThePageShowsAndThePostDecides over the function, as the host calls it: a GET
// never acts, a browser's post needs the page's mark, and nothing of a token is kept.
func TestThePageShowsAndThePostDecides(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := keyed(t)
	sim.ChangeVersion(key, func(v *azuresim.Version) { v.Expires = nil })
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nremedies: {recover-key: approve}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env, "CMKGUARD_POLICY="+file, "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers, "CMKGUARD_PUBLIC_URL=https://app.example.com/")
	base, out, _ := serve(t, env)
	sim.DeleteKey(key)
	post(t, base, sim.AccessPolicyChanged(key.Host, "e1"))
	var id string
	eventually(t, out, "an alert with the link", func() bool {
		m := regexp.MustCompile(`https://app.example.com/api/approvals/(recover-key~[0-9a-f]+)`).FindStringSubmatch(out.String())
		if m != nil {
			id = m[1]
		}
		return m != nil
	})
	bearer := func(n string) localhost.Pair {
		return localhost.Pair{Name: "Authorization", Value: "Bearer " + sim.SignIn(object(n), approvers, nil)}
	}
	signedIn := func(n string) localhost.Pair {
		return localhost.Pair{Name: "x-ms-token-aad-access-token", Value: sim.SignIn(object(n), approvers, nil)}
	}
	browser, form := localhost.Pair{Name: "Accept", Value: "text/html,*/*"}, localhost.Pair{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}
	yes := `{"decision":"approve","reason":"by mistake"}`
	for what, c := range map[string]struct {
		got  answered
		want string
	}{
		"no token":              {ask(t, base, "GET", id, ""), "401"},
		"a token of nobody":     {ask(t, base, "POST", id, yes, localhost.Pair{Name: "Authorization", Value: "Bearer eyJhbGciOiJub25lIn0.e30."}), "403"},
		"an unknown plan":       {ask(t, base, "GET", "recover-key~0", "", bearer("1")), "404"},
		"no plan":               {ask(t, base, "GET", "", "", bearer("1")), "404"},
		"no reason":             {ask(t, base, "POST", id, `{"decision":"approve"}`, bearer("1")), "400"},
		"no decision":           {ask(t, base, "POST", id, `{"reason":"x"}`, bearer("1")), "400"},
		"no JSON":               {ask(t, base, "POST", id, `<xml/>`, bearer("1")), "400"},
		"a forged browser post": {ask(t, base, "POST", id, "decision=approve&reason=x&mark=guess", signedIn("1"), form), "403"},
		"a GET that would act":  {ask(t, base, "GET", id, yes, bearer("1")), "200"},
	} {
		if c.got.Status != c.want {
			t.Errorf("%s: %+v, want %s", what, c.got, c.want)
		}
	}
	refused := ask(t, base, "GET", id, "", browser)
	if refused.Status != "401" || !strings.Contains(refused.Body, `href="/.auth/login/aad?post_login_redirect_uri=%2Fapi%2Fapprovals%2Frecover-key~`) ||
		!strings.Contains(refused.Header["Content-Security-Policy"], "default-src 'none'") || refused.Header["Www-Authenticate"] != "Bearer" {
		t.Errorf("a browser that nobody signed in: %+v", refused)
	}
	page := ask(t, base, "GET", id, "", signedIn("1"), browser)
	for _, want := range []string{"POST https://kv-a.vault.azure.net/deletedkeys/kek/recover", "IRREVERSIBLE", "0 of 2 persons", "cache-a", "until then it can be recovered", "nobody yet"} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("the page does not say %q:\n%s", want, page.Body)
		}
	}
	if strings.Contains(page.Body, "<script") || !strings.Contains(page.Header["Content-Security-Policy"], "default-src 'none'") {
		t.Errorf("%+v", page.Header)
	}
	mark := regexp.MustCompile(`name="mark" value="([0-9a-f]{64})"`).FindStringSubmatch(page.Body)
	if mark == nil {
		t.Fatal("no mark on the page")
	}
	other := ask(t, base, "POST", id, "decision=approve&reason=x&mark="+mark[1], signedIn("2"), form)
	first := ask(t, base, "POST", id, "decision=approve&reason=by+mistake&mark="+mark[1], signedIn("1"), form, browser)
	if other.Status != "403" || first.Status != "200" || !strings.Contains(first.Body, "recorded") {
		t.Fatalf("with another's mark %s, with one's own %s", other.Status, first.Status)
	}
	if sim.Count(http.MethodPost, "/deletedkeys/kek/recover") != 0 {
		t.Fatal("one person was enough")
	}
	if second := ask(t, base, "POST", id, yes, bearer("2")); second.Status != "200" {
		t.Fatalf("%+v", second)
	}
	eventually(t, out, "the key to be recovered", func() bool {
		sim.Clock().Advance(time.Second)
		return sim.Count(http.MethodPost, "/deletedkeys/kek/recover") == 1
	})
	if text, _ := run(t, env, "audit", "export"); strings.Contains(text, "eyJ") || strings.Contains(out.String(), "eyJ") {
		t.Fatal("a token is in the record or in the log")
	}
}

// TestTheIncidentsPageShowsAndThePostAcknowledges: the link of an alert leads to it; a
// GET never acts, a browser's post needs the page's mark, and only people with the
// role are taken for somebody. A receiver that keeps incidents is told at once; a console
// keeps none.
func TestTheIncidentsPageShowsAndThePostAcknowledges(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	sim.ChangeVersion(key, func(v *azuresim.Version) { v.Expires = nil })
	keeper := alerttest.Listen(t, alerttest.JSM("k"), alerttest.Right)
	pol := write(t, "policy.yaml", "version: 1\nchannels:\n  - {name: log, kind: console}\n  - {name: ops, kind: webhook, recipe: jsm, url: \""+keeper.URL+"\", secretRef: KEY}\n")
	env = append(env, "CMKGUARD_POLICY="+pol, "KEY=k", "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers, "CMKGUARD_PUBLIC_URL=https://app.example.com")
	base, out, _ := serve(t, env)
	sim.DeleteKey(key)
	post(t, base, sim.AccessPolicyChanged(key.Host, "e1"))
	var id string
	eventually(t, out, "an alert with the link", func() bool {
		m := regexp.MustCompile(`https://app.example.com/api/approvals/(incident~CMK-010~[0-9a-z~]+)`).FindStringSubmatch(out.String())
		if m != nil {
			id = m[1]
		}
		return m != nil
	})
	who := localhost.Pair{Name: "x-ms-token-aad-access-token", Value: sim.SignIn(object("1"), approvers, nil)}
	nobody := localhost.Pair{Name: "x-ms-token-aad-access-token", Value: sim.SignIn(object("1"), approvers, map[string]any{"roles": []string{}})}
	browser, form := localhost.Pair{Name: "Accept", Value: "text/html"}, localhost.Pair{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}
	page := ask(t, base, "GET", id, "decision=acknowledge&reason=x", who, browser)
	mark := regexp.MustCompile(`name="mark" value="([0-9a-f]{64})"`).FindStringSubmatch(page.Body)
	if page.Status != "200" || mark == nil || !strings.Contains(page.Body, "is open") || strings.Contains(page.Body, "Who works on it") {
		t.Fatalf("%+v", page)
	}
	good := "decision=acknowledge&reason=asking+the+owner&mark=" + mark[1]
	for what, c := range map[string]struct {
		got  answered
		want string
	}{
		"nobody signed in":      {ask(t, base, "POST", id, good, form), "401"},
		"without the role":      {ask(t, base, "POST", id, good, nobody, form), "403"},
		"a forged browser post": {ask(t, base, "POST", id, "decision=acknowledge&reason=x&mark=guess", who, form), "403"},
		"no reason":             {ask(t, base, "POST", id, "decision=acknowledge&mark="+mark[1], who, form), "400"},
		"another decision":      {ask(t, base, "POST", id, "decision=approve&reason=x&mark="+mark[1], who, form), "400"},
		"no such incident":      {ask(t, base, "POST", "incident~CMK-010~key~0", `{"decision":"acknowledge","reason":"x"}`, localhost.Pair{Name: "Authorization", Value: "Bearer " + who.Value}), "404"},
		"half a name":           {ask(t, base, "GET", "incident~CMK-010", "", who), "404"},
	} {
		if c.got.Status != c.want {
			t.Errorf("%s: %+v, want %s", what, c.got, c.want)
		}
	}
	if done := ask(t, base, "POST", id, good, who, form, browser); done.Status != "200" || !strings.Contains(done.Body, "is worked on") || !strings.Contains(done.Body, "asking the owner") {
		t.Fatalf("%+v", done)
	}
	eventually(t, out, "the receiver that keeps incidents to be told", func() bool { // by the work item of the post: no clock moves
		return slices.ContainsFunc(keeper.Calls(), func(c alerttest.Call) bool {
			return c.Taken && strings.HasPrefix(c.Path, "/v2/alerts/cmkguard%2FCMK-010%2F") && strings.Contains(c.Path, "/acknowledge?") && strings.Contains(string(c.Body), "asking the owner")
		})
	})
	if strings.Contains(out.String(), "Acknowledged:") {
		t.Error("the console was told, which keeps no incident")
	}
	if again := ask(t, base, "POST", id, good, who, form); again.Status != "409" || !strings.Contains(again.Body, "already") {
		t.Errorf("%+v", again)
	}
	var text string
	eventually(t, out, "who works on it to be in the record", func() bool { // which the next work item seals
		sim.Clock().Advance(time.Second)
		text, _ = run(t, env, "audit", "export")
		return strings.Contains(text, "CMK-010 acknowledged by a1@example.com (object id "+object("1")+"): asking the owner")
	})
	if strings.Contains(text, "eyJ") {
		t.Error("a token is in the record")
	}
}

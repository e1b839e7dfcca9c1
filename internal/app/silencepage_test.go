package app_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/localhost"
)

func header(name, value string) localhost.Pair { return localhost.Pair{Name: name, Value: value} }

// office is a served world with a deleted key, and the page that the alert's link
// "silence" leads to.
func office(t *testing.T) (sim *azuresim.Sim, env []string, base string, out *output, id string) {
	t.Helper()
	sim, key, env, _ := keyed(t)
	sim.ChangeVersion(key, func(v *azuresim.Version) { v.Expires = nil })
	env = append(env, "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers, "CMKGUARD_PUBLIC_URL=https://app.example.com")
	base, out, _ = serve(t, env)
	sim.DeleteKey(key)
	post(t, base, sim.AccessPolicyChanged(key.Host, "e1"))
	eventually(t, out, "an alert with the link", func() bool {
		m := regexp.MustCompile(`silence https://app.example.com/api/approvals/(silence~CMK-010~[0-9a-z~]+)`).FindStringSubmatch(out.String())
		if m != nil {
			id = m[1]
		}
		return m != nil
	})
	return sim, env, base, out, id
}

// silenced are the ids of the silences that the page names to a program.
func silenced(t *testing.T, base, id string, who localhost.Pair) (ids []string) {
	t.Helper()
	var k struct{ Silences []struct{ ID string } }
	if got := ask(t, base, "GET", id, "", who); got.Status != "200" || json.Unmarshal([]byte(got.Body), &k) != nil {
		t.Fatalf("%+v", got)
	}
	for _, s := range k.Silences {
		ids = append(ids, s.ID)
	}
	return ids
}

func markOn(t *testing.T, page answered) string {
	t.Helper()
	m := regexp.MustCompile(`name="mark" value="([0-9a-f]{64})"`).FindStringSubmatch(page.Body)
	if page.Status != "200" || m == nil {
		t.Fatalf("no mark: %+v", page)
	}
	return m[1]
}

// TestTheSilencePageShowsAndThePostSilences: whatever fetches the link of an alert, only
// the post of a proven person with a reason and the page's mark silences, and ends it.
func TestTheSilencePageShowsAndThePostSilences(t *testing.T) {
	t.Parallel()
	sim, env, base, out, id := office(t)
	signedIn := func(n string, claims map[string]any) localhost.Pair {
		return header("x-ms-token-aad-access-token", sim.SignIn(object(n), approvers, claims))
	}
	who, bearer := signedIn("1", nil), header("Authorization", "Bearer "+sim.SignIn(object("1"), approvers, nil))
	browser, form := header("Accept", "text/html"), header("Content-Type", "application/x-www-form-urlencoded")
	page := ask(t, base, "GET", id, "", who, browser)
	mark := markOn(t, page)
	for _, want := range []string{
		"is open", `is-bad">critical</span>`, "every alert of CMK-010 about key:kv-a.vault.azure.net/kek", "every alert about the vault kv-a and what hangs on it", ">4 hours, until ", "<option value=\"720h\">30 days, until ",
	} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("the page does not say %q:\n%s", want, page.Body)
		}
	}
	if strings.Index(page.Body, `value="silence"`) > strings.Index(page.Body, `value="acknowledge"`) || strings.Contains(page.Body, "<script") || !strings.Contains(page.Header["Content-Security-Policy"], "default-src 'none'") || page.Header["Cache-Control"] != "no-store" {
		t.Errorf("%+v", page)
	}
	good := "decision=silence&scope=incident&for=4h&reason=change+7&mark=" + mark
	for what, got := range map[string]answered{
		"a scanner's GET": ask(t, base, "GET", id, good, form, header("User-Agent", "Mozilla/5.0 (compatible; SafeLinks)")),
		"a signed-in GET": ask(t, base, "GET", id, good, who, form, browser),
		"a prefetch":      ask(t, base, "GET", id, good, who, form, browser, header("Sec-Purpose", "prefetch")),
		"a HEAD":          ask(t, base, "HEAD", id, good, who, form, browser),
		"a PUT":           ask(t, base, "PUT", id, good, who, form, browser),
	} {
		if got.Status != "200" && got.Status != "401" {
			t.Errorf("%s: %+v", what, got)
		}
	}
	without := func(field string) string { return regexp.MustCompile(field+`=[^&]*&?`).ReplaceAllString(good, "") }
	for what, c := range map[string]struct {
		got        answered
		want, says string
	}{
		"nobody signed in":       {ask(t, base, "POST", id, good, form), "401", "sign in"},
		"without the role":       {ask(t, base, "POST", id, good, signedIn("1", map[string]any{"roles": []string{}}), form), "403", "proves nobody"},
		"an expired token":       {ask(t, base, "POST", id, good, signedIn("1", map[string]any{"exp": sim.Clock().Now().Add(-time.Minute).Unix()}), form), "403", "proves nobody"},
		"another's mark":         {ask(t, base, "POST", id, good, signedIn("2", nil), form), "403", "open it again"},
		"a forged browser post":  {ask(t, base, "POST", id, without("mark"), who, form), "403", "open it again"},
		"a forged post in JSON":  {ask(t, base, "POST", id, `{"decision":"silence","scope":"incident","for":"4h","reason":"x"}`, who, header("Content-Type", "text/plain")), "403", "open it again"},
		"no reason":              {ask(t, base, "POST", id, without("reason"), who, form), "400", "reason: want a text"},
		"no scope":               {ask(t, base, "POST", id, without("scope"), who, form), "400", "scope: want incident, subject or vault"},
		"a wildcard":             {ask(t, base, "POST", id, strings.Replace(good, "scope=incident", "scope=kv-*", 1), who, form), "400", "scope: want incident, subject or vault; for patterns"},
		"no time":                {ask(t, base, "POST", id, without("for"), who, form), "400", "for: want how long, such as 4h, 720h at most"},
		"a time that is none":    {ask(t, base, "POST", id, `{"decision":"silence","scope":"incident","for":"soon","reason":"x"}`, bearer), "400", "for: want how long"},
		"a number for a time":    {ask(t, base, "POST", id, `{"decision":"silence","scope":"incident","for":4,"reason":"x"}`, bearer), "400", "for: want a text"},
		"backwards":              {ask(t, base, "POST", id, `{"decision":"silence","scope":"incident","for":"-1h","reason":"x"}`, bearer), "400", "for: want how long"},
		"over-long":              {ask(t, base, "POST", id, `{"decision":"silence","scope":"incident","for":"720h1s","reason":"x"}`, bearer), "400", "720h at most"},
		"no such decision":       {ask(t, base, "POST", id, strings.Replace(good, "decision=silence", "decision=mute", 1), who, form), "400", "decision: want acknowledge, silence or unsilence"},
		"an end of nothing":      {ask(t, base, "POST", id, "decision=unsilence&reason=x&mark="+mark, who, form), "400", "silence: want the id"},
		"an end of another's":    {ask(t, base, "POST", id, `{"decision":"unsilence","silence":"s-00000000","reason":"x"}`, bearer), "409", "keeps nothing of this incident back"},
		"no such incident":       {ask(t, base, "POST", "silence~CMK-010~key~0", `{"decision":"silence","scope":"incident","for":"4h","reason":"x"}`, bearer), "404", "there is no incident"},
		"half a name":            {ask(t, base, "GET", "silence~CMK-010", "", who), "404", ""},
		"the page of no problem": {ask(t, base, "GET", "silence~<script>~key~0", "", who, browser), "404", "&lt;script&gt;"},
	} {
		if c.got.Status != c.want || !strings.Contains(c.got.Body, c.says) {
			t.Errorf("%s: %+v, want %s and %q", what, c.got, c.want, c.says)
		}
	}
	if got := silenced(t, base, id, bearer); len(got) != 0 {
		t.Fatalf("one of these silenced it: %v", got)
	}
	hostile := strings.Replace(good, "change+7", "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%3E%3C%2Ftextarea%3E", 1)
	for range 2 { // a browser that sends it again
		if done := ask(t, base, "POST", id, hostile, who, form, browser); done.Status != "200" || strings.Contains(done.Body, "<script") || !strings.Contains(done.Body, "&lt;script&gt;alert(1)") || !strings.Contains(done.Body, "What keeps its alerts back now") {
			t.Fatalf("%+v", done)
		}
	}
	ids := silenced(t, base, id, bearer)
	if len(ids) != 1 {
		t.Fatalf("%v", ids)
	}
	if text, _ := run(t, env, "silence", "list"); !strings.Contains(text, ids[0]) || !strings.Contains(text, `"subjects":["key:kv-a.vault.azure.net/kek"]`) {
		t.Errorf("the command line does not list it:\n%s", text)
	}
	acknowledging := strings.Replace(id, "silence~", "incident~", 1)
	over := "decision=unsilence&silence=" + ids[0] + "&reason=done+early&mark="
	if no := ask(t, base, "POST", acknowledging, over+mark, who, form); no.Status != "403" { // a mark is of one page
		t.Errorf("%+v", no)
	}
	own := markOn(t, ask(t, base, "GET", acknowledging, "", who, browser))
	if done := ask(t, base, "POST", acknowledging, over+own, who, form, browser); done.Status != "200" || strings.Contains(done.Body, ids[0]) {
		t.Fatalf("%+v", done)
	}
	if again := ask(t, base, "POST", acknowledging, over+own, who, form); again.Status != "409" {
		t.Errorf("%+v", again)
	}
	var text string
	eventually(t, out, "both to be in the record", func() bool { // which the worker seals
		text, _ = run(t, env, "audit", "export")
		by := "a1@example.com (object id " + object("1") + ")"
		return strings.Contains(text, "added by "+by+" until 20") && strings.Contains(text, "ended by "+by+": done early")
	})
	if strings.Contains(text, "eyJ") || strings.Contains(out.String(), "eyJ") {
		t.Error("a token is in the record or in the log")
	}
}

// What is over is shown as that, and is neither silenced nor acknowledged.
func TestTheSilencePageOfWhatIsOver(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	sim.ChangeVersion(key, func(v *azuresim.Version) { v.Expires = nil })
	env = append(env, "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers, "CMKGUARD_PUBLIC_URL=https://app.example.com")
	base, out, _ := serve(t, env)
	id := ""
	post(t, base, sim.AccessPolicyChanged(key.Host, "e1"))
	eventually(t, out, "an alert with the link", func() bool {
		m := regexp.MustCompile(`/api/approvals/(silence~CMK-018~[0-9a-z~]+)`).FindStringSubmatch(out.String())
		if m != nil {
			id = m[1]
		}
		return m != nil
	})
	later := sim.Clock().Now().Add(200 * 24 * time.Hour)
	sim.ChangeVersion(key, func(v *azuresim.Version) { v.Expires = &later })
	sim.Clock().Advance(time.Minute)
	post(t, base, sim.AccessPolicyChanged(key.Host, "e2"))
	who, browser := header("x-ms-token-aad-access-token", sim.SignIn(object("1"), approvers, nil)), header("Accept", "text/html")
	var page answered
	eventually(t, out, "the end", func() bool {
		page = ask(t, base, "GET", id, "", who, browser)
		return strings.Contains(page.Body, "is over")
	})
	if strings.Contains(page.Body, "<form") {
		t.Errorf("it offers something to be decided:\n%s", page.Body)
	}
	bearer := header("Authorization", "Bearer "+who.Value)
	if got := ask(t, base, "POST", id, `{"decision":"silence","scope":"subject","for":"4h","reason":"x"}`, bearer); got.Status != "409" || !strings.Contains(got.Body, "is over since") {
		t.Errorf("%+v", got)
	}
}

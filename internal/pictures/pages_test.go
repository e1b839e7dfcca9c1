package pictures_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"cmkguard/handlers/approvals"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/hostproc"
	"cmkguard/internal/localhost"
)

const (
	audience  = "55555555-5555-5555-5555-555555555555"
	directory = "44444444-4444-4444-4444-444444444444"
)

// office is a world in which a key was deleted, the real program in it, and its
// approvals function in front of a browser.
type office struct {
	sim            *azuresim.Sim
	front          *httptest.Server
	plan, incident string
	token          atomic.Value // of who looks; "": nobody signed in
}

func openOffice(t *testing.T) *office {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	o := &office{sim: azuresim.New(azuresim.Options{Wall: time.Now})}
	m := o.sim.AddSample("v1", 365*24*time.Hour)
	o.sim.ChangeVersion(m.Key, func(v *azuresim.Version) { v.Expires = nil })
	srv, err := o.sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	profile, err := srv.WriteProfile(dir, m.Token)
	if err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(dir, "policy.yaml")
	write(t, policy, []byte("version: 1\nremedies: {recover-key: approve}\n"))
	child := hostproc.New(os.Getenv("CMKGUARD_BINARY"), map[string]string{
		"CMKGUARD_STATE": "file:" + filepath.Join(dir, "state"), "CMKGUARD_CLOUD": profile, "CMKGUARD_SUBSCRIPTIONS": m.Subscription, "CMKGUARD_POLICY": policy,
		"CMKGUARD_REMEDIATOR_CLIENT_ID": "remediator", "CMKGUARD_PUBLIC_URL": "https://app.example.com", "CMKGUARD_APPROVAL_TENANT": directory, "CMKGUARD_APPROVAL_AUDIENCE": audience,
	})
	if err := child.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(child.Stop)
	o.serve(t, child.URL())
	o.sim.DeleteKey(m.Key)
	if err := child.Event(ctx, o.sim.AccessPolicyChanged(m.Key.Host, "e1")); err != nil {
		t.Fatal(err)
	}
	err = hostproc.Until(ctx, "an alert that names the plan", func() (bool, error) {
		found := regexp.MustCompile(`cmkguard approve (recover-key~[0-9a-f]+)`).FindStringSubmatch(child.Output())
		if found != nil {
			o.plan = found[1]
		}
		link := regexp.MustCompile(`/api/approvals/(incident~CMK-010~[0-9a-z~]+)`).FindStringSubmatch(child.Output())
		if link != nil {
			o.incident = link[1]
		}
		return found != nil && link != nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// serve stands in for App Service authentication: it puts the token of who signed in
// where the program looks for it, and lets nobody else put one there.
func (o *office) serve(t *testing.T, base string) {
	t.Helper()
	o.token.Store("")
	front := localhost.Front{
		BaseURL: base, Function: approvals.Name, Binding: approvals.Binding, Output: approvals.Output, Prefix: "/api/approvals/", Param: "id", Now: time.Now, NewID: uuid.NewString,
	}
	o.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("X-Ms-Token-Aad-Access-Token")
		if token, ok := o.token.Load().(string); ok && token != "" {
			r.Header.Set("X-Ms-Token-Aad-Access-Token", token)
		}
		front.ServeHTTP(w, r)
	}))
	t.Cleanup(o.front.Close)
}

// as is who looks from now on.
func (o *office) as(object string, claims map[string]any) {
	o.token.Store(o.sim.SignIn("00000000-0000-0000-0000-0000000000a"+object, audience, claims))
}

func (o *office) url(plan string) string { return o.front.URL + "/api/approvals/" + plan }

// TestApprovalPages goes the way of people through a held plan, in a browser.
func TestApprovalPages(t *testing.T) {
	update := wanted(t)
	o, b := openOffice(t), open(t)
	look := func(name string, want ...string) {
		t.Helper()
		b.fits("page " + name)
		b.look(640, false)
		a := b.audit()
		for _, w := range want {
			if !strings.Contains(a.Text, w) {
				t.Errorf("page %s does not say %q:\n%s", name, w, a.Text)
			}
		}
		golden(t, update, "pages/"+name, b.shot(), a.Layout)
		if update && slices.Contains(kept(), "pages/"+name) {
			keep(t, b, "pages/"+name)
		}
	}
	decide := func(answer string) {
		t.Helper()
		b.do(chromedp.SendKeys("#reason", "deleted by mistake, ticket OPS-4711"), chromedp.Click("button[value="+answer+"]"), chromedp.WaitVisible("//h1[contains(., 'recorded')]"))
	}
	b.open(o.url(o.plan))
	look("not-signed-in", "Sign in")
	o.as("9", map[string]any{"roles": []string{}})
	b.open(o.url(o.plan))
	look("without-the-role", "You cannot do this")
	o.as("1", nil)
	b.open(o.url("recover-key~0"))
	look("not-found", "There is nothing of this name")
	b.open(o.url(o.incident))
	look("incident", "CRITICAL", "until then it can be recovered", "Acknowledge")
	b.do(chromedp.SendKeys("#reason", "asking the owner"), chromedp.Click("button[value=acknowledge]"), chromedp.WaitVisible("//h2[contains(., 'Who works on it')]"))
	look("incident-acknowledged", "is worked on", "a1@example.com", "asking the owner")
	b.open(o.url(strings.Replace(o.incident, "incident~", "silence~", 1)))
	look("silence", "Silence it for a while", "This problem alone", "Whatever hangs on the vault kv-a", "every alert of CMK-010 about", "Critical alerts are kept back too")
	b.do(chromedp.SendKeys("#why", "change 4711"), chromedp.Click("button[value=silence]"), chromedp.WaitVisible("//h2[contains(., 'What keeps its alerts back now')]"))
	b.do(chromedp.Click("//summary[contains(., 'End it now')]"), chromedp.WaitVisible("button[value=unsilence]"))
	look("incident-silenced", "a1@example.com", "minutes left", "change 4711", "Why, for the record")
	b.open(o.url(o.plan))
	look("held", "What breaks if nothing is done", "CRITICAL", "Key is not there", "deletedkeys/kek/recover", "IRREVERSIBLE", "0 of 2 persons", "nobody yet")
	decide("approve")
	look("approved", "Your approval is recorded")
	o.as("2", nil)
	b.open(o.url(o.plan))
	look("approved-once", "APPROVED by", "counts until")
	o.sim.Clock().Advance(25 * time.Hour)
	o.as("2", nil)
	b.open(o.url(o.plan))
	look("expired", "it counts no more")
	decide("deny")
	look("denied", "Your denial is recorded")
	b.open(o.url(o.plan))
	look("held-denied", "DENIED by")
}

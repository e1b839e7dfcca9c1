package approvals

import (
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
)

//go:embed page.html
var pageText string

// headers keep the page from being framed, from loading anything, and from sending
// its form elsewhere.
func headers() map[string]string {
	return map[string]string{
		"Content-Type":            "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"Referrer-Policy":         "no-referrer",
		"Cache-Control":           "no-store",
	}
}

// planPage is what the page of one plan shows.
type planPage struct {
	Held        guard.Held
	Who         approval.Person
	Mark, Title string
	State, Look string // in words, and its colour
	Problems    []problemBox
	Decisions   []decided
	Allows      int    // gates that allow it
	Counts      string // until when an approval that is given now counts
}

type problemBox struct {
	Check, Severity, Title, Why, Breaks, By, Left, ByMeans, Since string
	Look, Ink                                                     string // colours of the box and of the word
}

type decided struct{ Word, Name, Object, Reason, At, Counts, Ink string }

const layout = "2006-01-02 15:04 UTC"

func page(h guard.Held, who approval.Person, mark string) funchost.Response {
	p := planPage{
		Held: h, Who: who, Mark: mark, Title: h.Plan.Remedy + ": " + shortName(h.Plan.Subject.ID), State: "waits for people", Look: "is-warn",
		Counts: at(h.At.Add(h.ValidFor)),
	}
	for _, r := range h.Rulings {
		if r.Answer == "allow" {
			p.Allows++
		}
	}
	for _, x := range h.Problems {
		p.Problems = append(p.Problems, boxOf(x, h.At))
	}
	for _, d := range h.Decisions {
		p.Decisions = append(p.Decisions, decidedOf(d, h))
	}
	switch {
	case h.Started:
		p.State, p.Look = "was started", "is-good"
	case len(h.Problems) == 0:
		p.State, p.Look = "is not needed any more", "is-good"
	}
	return render("plan", http.StatusOK, p)
}

func boxOf(x guard.Problem, now time.Time) problemBox {
	b := problemBox{Check: x.Check, Severity: string(x.Severity), Title: x.Title, Why: x.Why, Breaks: x.Breaks, Since: at(x.Since), Look: "warn", Ink: "is-warn"}
	if x.By != nil {
		b.By, b.Left, b.ByMeans = at(*x.By), left(x.By.Sub(now)), x.ByMeans
	}
	if b.Severity == "critical" || b.Severity == "high" {
		b.Look, b.Ink = "bad", "is-bad"
	}
	return b
}

// decidedOf says of a decision whether it counts for the plan as it is now.
func decidedOf(d approval.Decision, h guard.Held) decided {
	out := decided{Word: "approved", Name: d.By.Name, Object: d.By.Object, Reason: d.Reason, At: at(d.At), Counts: "counts until " + at(d.Expires), Ink: "is-good"}
	if d.Kind == approval.Deny {
		out.Word, out.Ink = "denied", "is-bad"
	}
	switch {
	case !h.At.Before(d.Expires):
		out.Counts, out.Ink = "expired "+at(d.Expires)+": it counts no more", "muted"
	case d.Hash != h.Fingerprint:
		out.Counts, out.Ink = "was given on other facts: it counts no more", "muted"
	}
	return out
}

func done(d approval.Decision) funchost.Response { return render("done", http.StatusOK, d) }

// problemPage is problem for people: the status in words, and what to do.
func problemPage(status int, text, path string) funchost.Response {
	p := struct{ Status, Title, Text, Next, SignIn, Look string }{Status: http.StatusText(status), Text: text, Look: "warn"}
	switch status {
	case http.StatusUnauthorized:
		p.Title, p.SignIn = "Sign in to see this page", signIn(path)
	case http.StatusForbidden:
		p.Title, p.Look = "You cannot do this", "bad"
	case http.StatusNotFound:
		p.Title, p.Next = "There is nothing of this name", "Open the link of the newest alert, or list what waits: cmkguard plan"
	case http.StatusConflict:
		p.Title, p.Next = "Look again", "Load this page again: what it shows may have changed."
	case http.StatusBadRequest:
		p.Title, p.Next = "This could not be read", "Go back and mend what is named."
	default:
		p.Title, p.Next = "Not now", "Nothing was decided. Load the page again in a minute."
	}
	return render("problem", status, p)
}

// signIn is App Service authentication's own page, which comes back here
// (learn.microsoft.com app-service/configure-authentication-customize-sign-in-out).
func signIn(path string) string {
	return "/.auth/login/aad?post_login_redirect_uri=" + url.QueryEscape(path)
}

func render(name string, status int, data any) funchost.Response {
	t, err := template.New("").Funcs(template.FuncMap{"name": shortName, "at": at}).Parse(pageText)
	if err != nil {
		return problem(http.StatusInternalServerError, "the page could not be made") // unreachable: a test renders it
	}
	var b strings.Builder
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		return problem(http.StatusInternalServerError, "the page could not be made")
	}
	return funchost.Response{Status: status, Header: headers(), Body: b.String()}
}

// shortName is the last part of an ARM id or of a key's id.
func shortName(id string) string { return id[strings.LastIndex(strings.TrimRight(id, "/"), "/")+1:] }

func at(t time.Time) string { return t.UTC().Format(layout) }

// left rounds down: nobody is to count on an hour that is not there.
func left(d time.Duration) string {
	switch {
	case d <= 0:
		return "this has passed"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes left", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours left", int(d/time.Hour))
	}
	return fmt.Sprintf("%d days left", int(d/(24*time.Hour)))
}

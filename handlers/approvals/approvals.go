// Package approvals is the page and the decision on held plans, and the page of an
// incident, where people say that they work on it or silence it. A GET shows and
// never acts, because mail and chat scanners follow links; a POST decides. Who
// asks is proved by an Entra access token that is checked by ourselves, never by a
// function key.
//
// It judges nothing: the guard says who may decide what.
package approvals

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"cmkguard/internal/approval"
	"cmkguard/internal/fault"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
)

// Name is the function's name, Binding its trigger's and Output its answer's.
const (
	Name    = "approvals"
	Binding = "req"
	Output  = "res"
	Route   = "approvals/{id?}"
)

// Desk is where plans lie and decisions are taken in.
type Desk interface {
	// Prove returns who the token proves, and a mark that only this person's page
	// about this plan holds (against forged posts). A token that proves nobody is
	// a Denied fault.
	Prove(ctx context.Context, token, plan string) (who approval.Person, mark string, err error)
	Plans
}

// Plans are the plans and what people do about them.
type Plans interface {
	Find(ctx context.Context, plan string) (guard.Held, error)
	Decide(ctx context.Context, plan string, kind approval.Kind, by approval.Person, reason string) (approval.Decision, error)
	// Undo asks for what a plan did to be taken back, and returns the plan that would.
	Undo(ctx context.Context, plan string, by approval.Person, reason string) (guard.Held, error)
}

// undo is asked of a plan that was carried out; it makes another plan.
const undo = "undo"

// Handler returns the function's handler. Whatever is wrong with a request is told
// to its sender; nothing of it is kept.
func Handler(d Desk, w Watch) funchost.Handler {
	return func(ctx context.Context, inv *funchost.Invocation) error {
		req, err := inv.Request(Binding)
		if err != nil {
			inv.Reply(Output, problem(http.StatusBadRequest, "the request could not be read"))
			return nil //nolint:nilerr // told to the caller; the envelope holds a token and is kept nowhere
		}
		r := answer(ctx, d, w, req)
		if forPeople(req) && r.Status != http.StatusOK {
			r = inWords(r, req)
		}
		inv.Reply(Output, r)
		return nil
	}
}

func answer(ctx context.Context, d Desk, w Watch, req funchost.Request) funchost.Response {
	id := req.Params["id"]
	token, cookie := tokenOf(req)
	if token == "" {
		r := problem(http.StatusUnauthorized, "sign in: an Entra access token with the role of approvers is needed")
		r.Header["WWW-Authenticate"] = "Bearer"
		return r
	}
	who, mark, err := d.Prove(ctx, token, id)
	if err != nil {
		return failed(err)
	}
	if id == "" {
		return problem(http.StatusNotFound, "name a plan, as the alert's link does: /api/approvals/PLAN")
	}
	if v, ok := visitOf(id); ok {
		v.who, v.mark, v.cookie = who, mark, cookie
		return incidentAnswer(ctx, w, req, v)
	}
	if req.Method == http.MethodPost {
		return decide(ctx, d, req, id, who, mark, cookie)
	}
	held, err := d.Find(ctx, id)
	if err != nil {
		return failed(err)
	}
	if forPeople(req) {
		return page(held, who, mark)
	}
	return inJSON(http.StatusOK, held)
}

// forPeople reports whether a browser asks.
func forPeople(req funchost.Request) bool { return strings.Contains(req.Header("Accept"), "text/html") }

// inWords is a refusal as a page.
func inWords(r funchost.Response, req funchost.Request) funchost.Response {
	var told struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(r.Body), &told) != nil {
		return r
	}
	path := "/api/approvals"
	if u, err := url.Parse(req.URL); err == nil && strings.HasPrefix(u.Path, path) {
		path = u.Path // where to come back to: never another host
	}
	p := problemPage(r.Status, told.Error, path)
	if v := r.Header["WWW-Authenticate"]; v != "" {
		p.Header["WWW-Authenticate"] = v
	}
	return p
}

// tokenOf returns the caller's token, and whether a browser's sign-in brought it: then
// any page that the person opens could have sent the request.
func tokenOf(req funchost.Request) (token string, cookie bool) {
	if t, ok := strings.CutPrefix(req.Header("Authorization"), "Bearer "); ok {
		return t, false
	}
	// App Service authentication puts it there after its own sign-in.
	t := req.Header("X-MS-TOKEN-AAD-ACCESS-TOKEN")
	return t, t != ""
}

// asked is what a post says. Scope and For are of a silence that is asked for, Silence
// names one that is to end.
type asked struct{ Decision, Reason, Mark, Scope, For, Silence string }

// read reads the post of a form or of a program; refusal is its answer otherwise.
func read(req funchost.Request) (a asked, refusal *funchost.Response) {
	no := func(text string) *funchost.Response { r := problem(http.StatusBadRequest, text); return &r }
	if strings.HasPrefix(req.Header("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(req.Body)
		if err != nil {
			return a, no("the form could not be read")
		}
		a = asked{form.Get("decision"), form.Get("reason"), form.Get("mark"), form.Get("scope"), form.Get("for"), form.Get("silence")}
	} else if err := json.Unmarshal([]byte(req.Body), &a); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			return a, no(strings.ToLower(wrong.Field) + ": want a text")
		}
		return a, no(`want {"decision": "approve", "deny", "undo" or, of an incident, "acknowledge", "silence" or "unsilence", "reason": TEXT}`)
	}
	if strings.TrimSpace(a.Reason) == "" {
		return a, no("reason: want a text, for the record")
	}
	return a, nil
}

// forged reports whether a browser's post lacks the mark of the page that this person
// was shown.
func forged(a asked, mark string, cookie bool) bool {
	return cookie && subtle.ConstantTimeCompare([]byte(a.Mark), []byte(mark)) != 1
}

const oldPage = "the page is too old or not ours: open it again from the alert"

func decide(ctx context.Context, d Desk, req funchost.Request, id string, who approval.Person, mark string, cookie bool) funchost.Response {
	asked, refusal := read(req)
	if refusal != nil {
		return *refusal
	}
	kind := approval.Kind(asked.Decision)
	switch {
	case kind != approval.Approve && kind != approval.Deny && asked.Decision != undo:
		return problem(http.StatusBadRequest, "decision: want approve, deny or undo")
	case forged(asked, mark, cookie):
		return problem(http.StatusForbidden, oldPage)
	case asked.Decision == undo:
		held, err := d.Undo(ctx, id, who, asked.Reason)
		if err != nil {
			return failed(err)
		}
		return inJSON(http.StatusOK, held)
	}
	decision, err := d.Decide(ctx, id, kind, who, asked.Reason)
	if err != nil {
		return failed(err)
	}
	if forPeople(req) {
		return done(decision)
	}
	return inJSON(http.StatusOK, decision)
}

// failed answers an error by its kind; what it says is for people who have not
// proved themselves too, so that a token's fault stays short.
func failed(err error) funchost.Response {
	switch fault.KindOf(err) {
	case fault.Denied:
		return problem(http.StatusForbidden, err.Error())
	case fault.Invalid:
		return problem(http.StatusNotFound, err.Error())
	case fault.Conflict:
		return problem(http.StatusConflict, "somebody else decided at the same moment: look again")
	default:
		return problem(http.StatusServiceUnavailable, "try again: "+err.Error())
	}
}

func problem(status int, text string) funchost.Response {
	return inJSON(status, map[string]string{"error": text})
}

func inJSON(status int, v any) funchost.Response {
	raw, err := json.Marshal(v)
	if err != nil {
		return funchost.Response{Status: http.StatusInternalServerError, Header: map[string]string{}}
	}
	return funchost.Response{Status: status, Header: map[string]string{"Content-Type": "application/json"}, Body: string(raw)}
}

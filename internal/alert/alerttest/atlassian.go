package alerttest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// JSMAlert is what creates an alert, and what goes along with another action.
type JSMAlert struct {
	Message, Alias, Description, Entity, Source, Priority, Note, User string
	Tags                                                              []string
	Details                                                           map[string]string
}

// JSM is the integration events of Jira Service Management Operations, which are
// Opsgenie's alert API: create, acknowledge and close by alias, each answered 202 with a
// requestId. Message is required and holds 130 characters, alias 512, description
// 15,000, entity 512, source 100, note 25,000, details 8,000; 20 tags of 50; P1 to P5
// (docs.opsgenie.com/docs/alert-api). What breaks a limit is 422. key is the
// integration's.
func JSM(key string) Provider {
	return Provider{
		Name: "jsm", OK: http.StatusAccepted, Busy: `{"message":"You are making too many requests!","took":0.0,"requestId":"r"}`,
		Refuse: func(r *http.Request, body []byte) *Refusal {
			var in JSMAlert
			rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/v2/alerts")
			switch {
			case r.Header.Get("Authorization") != "GenieKey "+key:
				return no(http.StatusUnauthorized, "", "Could not authenticate")
			case r.Method != http.MethodPost || !ok:
				return no(http.StatusNotFound, "", "No handler found")
			case json.Unmarshal(body, &in) != nil:
				return no(http.StatusBadRequest, "", "Could not parse request body")
			}
			problem := jsmProblem(in, rest == "")
			if rest != "" {
				alias, action, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
				name, err := url.PathUnescape(alias)
				if err != nil || name == "" || r.URL.Query().Get("identifierType") != "alias" || !slices.Contains([]string{"acknowledge", "close"}, action) {
					return no(http.StatusNotFound, "", "No handler found")
				}
			}
			if problem != "" {
				return no(http.StatusUnprocessableEntity, "", problem)
			}
			return nil
		},
		Refusal: func(w http.ResponseWriter, status int, _, message string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"message": message, "took": 0.001, "requestId": "r-1"})
		},
		Answer: func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(`{"result":"Request will be processed","took":0.302,"requestId":"43a29c5c-3dbf-4fa4-9c26-f4f71023e120"}`))
		},
	}
}

func jsmProblem(in JSMAlert, create bool) string {
	for name, f := range map[string]struct {
		text string
		most int
	}{
		"message": {in.Message, 130}, "alias": {in.Alias, 512}, "description": {in.Description, 15000}, "entity": {in.Entity, 512},
		"source": {in.Source, 100}, "note": {in.Note, 25000}, "user": {in.User, 100},
	} {
		if utf8.RuneCountInString(f.text) > f.most {
			return name + " is longer than its limit"
		}
	}
	size := 0
	for k, v := range in.Details {
		size += utf8.RuneCountInString(k) + utf8.RuneCountInString(v)
	}
	switch {
	case create && strings.TrimSpace(in.Message) == "":
		return "message cannot be empty"
	case create && !slices.Contains([]string{"P1", "P2", "P3", "P4", "P5"}, in.Priority):
		return "priority should be one of [ P1, P2, P3, P4, P5 ]"
	case len(in.Tags) > 20 || slices.ContainsFunc(in.Tags, func(t string) bool { return t == "" || utf8.RuneCountInString(t) > 50 }):
		return "tags"
	case size > 8000:
		return "details is longer than its limit"
	}
	return ""
}

// SeenInJSM is an alert's message and description, or a note.
func SeenInJSM(body []byte) string {
	var in JSMAlert
	_ = json.Unmarshal(body, &in)
	return in.Message + "\n" + in.Description + "\n" + in.Note
}

// JSMColour is an alert's priority.
func JSMColour(body []byte) string {
	var in JSMAlert
	_ = json.Unmarshal(body, &in)
	if in.Priority == "" {
		return "closed"
	}
	return in.Priority
}

package alerttest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// adf is a node of an Atlassian Document Format document
// (developer.atlassian.com/cloud/jira/platform/apis/document/structure).
type adf struct {
	Type    string
	Version int
	Text    string
	Content []adf
}

// jiraIssue is what POST /rest/api/3/issue takes.
type jiraIssue struct {
	Fields struct {
		Project     struct{ Key string }
		IssueType   struct{ Name string }
		Summary     string
		Labels      []string
		Description *adf
	}
}

// Jira is Jira Cloud's "Create issue" (developer.atlassian.com/cloud/jira/platform/rest/
// v3): project, issuetype and summary are required; a summary is one line of 255
// characters, a label has no spaces, a description is a document of 32,767 characters
// (JRACLOUD-78553: CONTENT_LIMIT_EXCEEDED), and a text in it is not empty.
func Jira(auth, project string) Provider {
	return Provider{
		Name: "jira", OK: http.StatusCreated, Busy: `{"errorMessages":["Rate limit exceeded."]}`,
		Refuse: func(r *http.Request, body []byte) *Refusal {
			if r.Header.Get("Authorization") != auth {
				return no(http.StatusUnauthorized, "", "Client must be authenticated to access this resource.")
			}
			return jiraRefusal(r, body, project)
		},
		Refusal: func(w http.ResponseWriter, status int, code, message string) {
			answer := map[string]any{"errorMessages": []string{}, "errors": map[string]string{code: message}}
			if code == "" {
				answer = map[string]any{"errorMessages": []string{message}, "errors": map[string]string{}}
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(answer)
		},
		Answer: func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"id":"10000","key":"` + project + `-24","self":"https://acme.atlassian.net/rest/api/3/issue/10000"}`))
		},
	}
}

func jiraRefusal(r *http.Request, body []byte, project string) *Refusal {
	var in jiraIssue
	f := &in.Fields
	switch err := json.Unmarshal(body, &in); {
	case r.Method != http.MethodPost || r.URL.Path != "/rest/api/3/issue":
		return no(http.StatusNotFound, "", "null for uri: "+r.URL.Path)
	case err != nil:
		return no(http.StatusBadRequest, "", "There was an error parsing JSON. Check that your request body is valid.")
	case f.Project.Key != project:
		return no(http.StatusBadRequest, "project", "valid project is required")
	case f.IssueType.Name == "":
		return no(http.StatusBadRequest, "issuetype", "Specify an issue type")
	case f.Summary == "" || strings.ContainsAny(f.Summary, "\r\n"):
		return no(http.StatusBadRequest, "summary", "You must specify a summary of the issue.")
	case utf8.RuneCountInString(f.Summary) > 255:
		return no(http.StatusBadRequest, "summary", "Summary can't exceed 255 characters.")
	case slices.ContainsFunc(f.Labels, func(l string) bool { return l == "" || len([]rune(l)) > 255 || strings.ContainsAny(l, " \t\n") }):
		return no(http.StatusBadRequest, "labels", "The label contains spaces which is invalid.")
	case f.Description == nil || f.Description.Type != "doc" || f.Description.Version != 1 || !f.Description.sound():
		return no(http.StatusBadRequest, "description", "Operation value must be an Atlassian Document (see the Atlassian Document Format)")
	case utf8.RuneCountInString(f.Description.text()) > 32767:
		return no(http.StatusBadRequest, "", "CONTENT_LIMIT_EXCEEDED")
	}
	return nil
}

func (d adf) sound() bool {
	switch d.Type {
	case "text":
		return d.Text != "" && d.Content == nil
	case "doc", "paragraph", "codeBlock":
	default:
		return false
	}
	return !slices.ContainsFunc(d.Content, func(c adf) bool { return !c.sound() })
}

func (d adf) text() string {
	var b strings.Builder
	b.WriteString(d.Text)
	for _, c := range d.Content {
		b.WriteString(c.text() + "\n")
	}
	return b.String()
}

// SeenInJira is an issue's summary and description.
func SeenInJira(body []byte) string {
	var in jiraIssue
	if json.Unmarshal(body, &in) != nil || in.Fields.Description == nil {
		return ""
	}
	return in.Fields.Summary + "\n" + in.Fields.Description.text()
}

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

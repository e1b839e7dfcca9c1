package alerttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
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

// JiraIssue is an issue as a site has it.
type JiraIssue struct {
	Key, Summary, Type string
	Labels, Comments   []string
	Done               bool
	indexed            bool
}

// JiraSite is one site's issues. Its zero value is empty.
type JiraSite struct {
	mu     sync.Mutex
	issues []*JiraIssue
	lags   bool
}

// Issues are copies of the issues.
func (s *JiraSite) Issues() (out []JiraIssue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.issues {
		out = append(out, *i)
	}
	return out
}

// Lag has the search miss what is written from now on, or find all of it. It promises no
// more: "the delay might vary from a few seconds to minutes" (developer.atlassian.com/
// cloud/jira/platform/search-and-reconcile).
func (s *JiraSite) Lag(lags bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lags = lags
	for _, i := range s.issues {
		i.indexed = i.indexed || !lags
	}
}

// JiraDone is the id of the transition that a site's workflow has to done.
const JiraDone = "31"

// Jira is Jira Cloud's REST API (developer.atlassian.com/cloud/jira/platform/rest/v3).
// "Create issue": project, issuetype and summary are required; a summary is one line of
// 255 characters, a label has no spaces, a description is a document of 32,767 characters
// (JRACLOUD-78553: CONTENT_LIMIT_EXCEEDED), and a text in it is not empty. "Search for
// issues using JQL enhanced search (GET)" wants a bounded query; "Add comment" a document;
// "Transition issue" an id that the workflow has there. site nil: each server has its own.
// keeps: whatever is asked for is open there.
func Jira(auth, project string, site *JiraSite, keeps bool) Provider {
	of := eachHost(site)
	return Provider{
		Name: "jira", OK: http.StatusCreated, Busy: `{"errorMessages":["Rate limit exceeded."]}`,
		Refuse: func(r *http.Request, body []byte) *Refusal {
			if r.Header.Get("Authorization") != auth {
				return no(http.StatusUnauthorized, "", "Client must be authenticated to access this resource.")
			}
			return of(r).take(r, body, project, keeps)
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
		Answer: func(w http.ResponseWriter, r *http.Request, _ []byte) { of(r).answer(w, r, project, keeps) },
	}
}

const jiraAPI = "/rest/api/3/"

// take does what is asked for, if it may: whether the answer arrives is another matter.
func (s *JiraSite) take(r *http.Request, body []byte, project string, keeps bool) *Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := strings.TrimPrefix(r.URL.Path, jiraAPI)
	key, action, _ := strings.Cut(strings.TrimPrefix(what, "issue/"), "/")
	at := slices.IndexFunc(s.issues, func(i *JiraIssue) bool { return i.Key == key })
	switch {
	case r.Method == http.MethodGet && what == "search/jql":
		if _, ok := jiraAsked(r, project); !ok {
			return no(http.StatusBadRequest, "", "Error in the JQL Query: "+r.URL.Query().Get("jql"))
		}
		return nil
	case r.Method == http.MethodPost && what == "issue":
		return s.create(body, project)
	case r.Method != http.MethodPost || !slices.Contains([]string{"comment", "transitions"}, action):
		return no(http.StatusNotFound, "", "null for uri: "+r.URL.Path)
	case at < 0 && !keeps:
		return no(http.StatusNotFound, "", "Issue does not exist or you do not have permission to see it.")
	case at < 0:
		return (&JiraIssue{}).act(action, body)
	}
	return s.issues[at].act(action, body)
}

// jiraAsked reads a query for the open issues with one label, in which nothing of the
// label is query.
func jiraAsked(r *http.Request, project string) (label string, ok bool) {
	m := regexp.MustCompile(`^project = "` + regexp.QuoteMeta(project) + `" AND labels = "([^"\\]+)" AND statusCategory != Done$`).FindStringSubmatch(r.URL.Query().Get("jql"))
	if m == nil {
		return "", false
	}
	return m[1], true
}

func (s *JiraSite) create(body []byte, project string) *Refusal {
	var in jiraIssue
	if refusal := jiraRefusal(&in, body, project); refusal != nil {
		return refusal
	}
	f := in.Fields
	s.issues = append(s.issues, &JiraIssue{
		Key: fmt.Sprintf("%s-%d", project, 24+len(s.issues)), Summary: f.Summary, Type: f.IssueType.Name, Labels: f.Labels, indexed: !s.lags,
	})
	return nil
}

func (i *JiraIssue) act(action string, body []byte) *Refusal {
	var in struct {
		Body       *adf
		Transition struct{ ID string }
	}
	switch err := json.Unmarshal(body, &in); {
	case err != nil:
		return no(http.StatusBadRequest, "", "There was an error parsing JSON. Check that your request body is valid.")
	case action == "transitions" && in.Transition.ID != JiraDone:
		return no(http.StatusBadRequest, "", "Transition id '"+in.Transition.ID+"' is not valid for this issue.")
	case action == "transitions":
		i.Done = true
		return nil
	}
	if refusal := documentRefusal(in.Body, "comment"); refusal != nil {
		return refusal
	}
	i.Comments = append(i.Comments, in.Body.text())
	return nil
}

func (s *JiraSite) answer(w http.ResponseWriter, r *http.Request, project string, keeps bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/transitions"):
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/issue"):
		key := s.issues[len(s.issues)-1].Key
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"id":"10000","key":"` + key + `","self":"https://acme.atlassian.net/rest/api/3/issue/10000"}`))
	case r.Method == http.MethodPost:
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"id":"10001"}`))
	default:
		found := []map[string]string{}
		if keeps {
			found = append(found, map[string]string{"id": "10000", "key": project + "-1"})
		}
		label, _ := jiraAsked(r, project)
		for _, i := range s.issues {
			if i.indexed && !i.Done && slices.Contains(i.Labels, label) {
				found = append(found, map[string]string{"id": "10000", "key": i.Key})
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"issues": found, "isLast": true})
	}
}

func jiraRefusal(in *jiraIssue, body []byte, project string) *Refusal {
	f := &in.Fields
	switch err := json.Unmarshal(body, in); {
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
	}
	return documentRefusal(f.Description, "description")
}

func documentRefusal(d *adf, field string) *Refusal {
	switch {
	case d == nil || d.Type != "doc" || d.Version != 1 || !d.sound():
		return no(http.StatusBadRequest, field, "Operation value must be an Atlassian Document (see the Atlassian Document Format)")
	case utf8.RuneCountInString(d.text()) > 32767:
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

// SeenInJira is an issue's summary and description, or a comment.
func SeenInJira(body []byte) string {
	var in struct {
		jiraIssue
		Body *adf
	}
	switch {
	case json.Unmarshal(body, &in) != nil:
		return ""
	case in.Body != nil:
		return in.Body.text()
	case in.Fields.Description == nil:
		return ""
	}
	return in.Fields.Summary + "\n" + in.Fields.Description.text()
}

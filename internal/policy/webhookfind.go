package policy

import (
	"slices"
	"strings"
	"time"
)

// Find asks the receiver, before a request that depends on it, what it has of the
// problem. Its zero value asks nothing.
type Find struct {
	Path     string // a template, for a GET
	PathLine int
	List     string        // dotted path, in the answer, of the list of what was found
	ID       string        // dotted path, in an entry, of what .Found is then
	Lags     time.Duration // how long what was written may be missing from the answer
}

// When a request is made, by what was found.
const (
	WhenFound   = "found"
	WhenMissing = "missing"
)

// behind reads the template of what goes behind the url.
func (n node) behind() (string, int) {
	s, line := n.template()
	if s != "" && !strings.HasPrefix(s, "/") {
		n.problem("does not begin with /: it goes behind the url")
	}
	return s, line
}

func readFind(n node) Find {
	var f Find
	found := n.fields(map[string]func(node){
		"path": func(n node) { f.Path, f.PathLine = n.behind() },
		"list": func(n node) { f.List = n.text() },
		"id":   func(n node) { f.ID = n.text() },
		"lags": func(n node) { f.Lags = n.duration() },
	})
	n.require(found, "path", "path: a template's text")
	n.require(found, "list", "list: where the answer holds what was found, such as result")
	n.require(found, "id", "id: what names an entry, such as sys_id")
	if f.Lags > 10*time.Minute {
		n.problem("lags is above 10m: want how long the receiver's search may be behind")
	}
	return f
}

// checkFind: what asks and what depends on the answer go together.
func checkFind(n node, h Webhook) {
	if asks := slices.ContainsFunc(h.Requests, func(r Request) bool { return r.When != "" }); asks != (h.Find.Path != "") {
		n.problem("has one of find and when: want a find, and requests that say when: found or when: missing")
	}
}

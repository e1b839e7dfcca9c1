package templates

import (
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/alert"
)

// View is what a template sees: texts, lists of texts, and flags. No field is a
// number, so that no range can be longer than a list of an alert, and no type has a
// method. Every text is one line without control characters.
type View struct {
	Head      string // banners, severity and title, as the built-in messages begin
	Title     string
	Severity  string // critical, high, medium, low, info
	Lifecycle string // trigger, update, acknowledge, resolve, notice
	Check     string
	What      string
	Breaks    string
	Until     string // the date, how long that is, and what it means
	By        string // the date alone, RFC 3339
	At        string // when the alert was made, RFC 3339
	Since     string
	Subject   string
	Vault     string
	Actor     string
	Incident  string // its name on the command line
	Key       string // the dedup key: the same over a problem's life
	Ref       string
	ID        string
	Runbook   string
	Text      string // the built-in message as plain text, of several lines

	Done, Next, Notes, Controls, Evidence, Members []string
	Clusters                                       []Cluster
	MoreClusters                                   string // how many beyond the list; ""
	Commands                                       []Command
	Links                                          []Link
	Fields                                         []Field // the built-in lines, in their order

	With  map[string]string // what a webhook's recipe was given
	Found string            // what a webhook's receiver has of the problem; "" if nothing

	Open, Resolved, Acknowledged, Notice bool // by the lifecycle; Open is trigger and update
	DryRun, Drill, Unrecorded, Test      bool
}

// Cluster is one that is hit.
type Cluster struct {
	Name, ID, Owner string
	Tags            map[string]string
}

// Command is one to paste.
type Command struct{ Does, Line string }

// Link is a page that shows.
type Link struct{ Label, URL string }

// Field is one line of the built-in message.
type Field struct{ Label, Text string }

// ViewOf is the alert as templates see it at the time.
func ViewOf(a alert.Alert, now time.Time) View {
	a = alert.Fit(a)
	fields := alert.Fields(a, now)
	v := View{
		Head: alert.Head(a), Title: a.Title, Severity: strings.ToLower(alert.SeverityWord(a)), Check: a.Check,
		What: a.What, Breaks: a.Breaks, At: moment(a.At), Since: moment(a.Since), Subject: a.Subject, Vault: a.Vault, Actor: a.Actor,
		Key: a.DedupKey, Ref: a.Ref, ID: alert.Clean(a.ID, 255), Runbook: a.Runbook, Text: strings.TrimSpace(alert.Plain(alert.Head(a), fields)),
		Done: a.Done, Next: a.Next, Notes: a.Notes, Controls: a.Controls, Evidence: a.Evidence,
		DryRun: a.DryRun, Drill: a.Drill, Unrecorded: a.Unrecorded, Test: a.Test,
	}
	v.setLifecycle(a.Lifecycle)
	if a.By != nil {
		v.By = moment(*a.By)
	}
	v.lists(a, fields)
	return v
}

func (v *View) setLifecycle(l alert.Lifecycle) {
	v.Lifecycle = string(l)
	v.Open, v.Resolved = l == alert.Trigger || l == alert.Update, l == alert.Resolve
	v.Acknowledged, v.Notice = l == alert.Acknowledge, l == alert.Notice
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (v *View) lists(a alert.Alert, fields []alert.Field) {
	for _, f := range fields {
		switch v.Fields = append(v.Fields, Field{f.Label, f.String()}); f.Label {
		case "until":
			v.Until = f.Text
		case "incident":
			v.Incident = f.Text
		case "alert":
			v.Members = append(v.Members, f.Text)
		}
	}
	for _, i := range a.Impact {
		v.Clusters = append(v.Clusters, Cluster{i.Name, i.Cluster, i.Owner, i.Tags})
	}
	if a.MoreImpact > 0 {
		v.MoreClusters = fmt.Sprint(a.MoreImpact)
	}
	for _, c := range a.Commands {
		v.Commands = append(v.Commands, Command(c))
	}
	for _, l := range alert.Pages(a) {
		v.Links = append(v.Links, Link(l))
	}
}

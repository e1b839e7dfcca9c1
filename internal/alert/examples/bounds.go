package examples

import (
	"strings"
	"time"

	"cmkguard/internal/alert"
)

// Small returns an alert with nothing but what it cannot be without.
func Small(at time.Time) alert.Alert {
	return alert.Alert{ID: "small", DedupKey: "cmkguard/small", Lifecycle: alert.Notice, Title: "Small", At: at}
}

// Huge returns an alert in which every part that grows with what is out there is as
// large as alert.Notifications lets it be, and made of what markup is made of.
func Huge(at time.Time) alert.Alert {
	a := shop{at: at}.keyDeleted()
	bad := Hostile() + strings.Repeat("<&>*_[", 700)
	a.ID, a.Title, a.What, a.Breaks, a.GroupKey, a.Actor, a.ByMeans = "huge", bad, bad, bad, bad, bad, bad
	for range 20 {
		a.Done, a.Next, a.Evidence, a.Controls = append(a.Done, bad), append(a.Next, bad), append(a.Evidence, bad), append(a.Controls, bad)
		a.Commands = append(a.Commands, alert.Command{Does: bad, Line: "cmkguard show '" + strings.Repeat("x", 900) + "'"})
		a.Links = append(a.Links, alert.Link{Label: bad, URL: "https://cmkguard.example.com/" + strings.Repeat("x", 500)})
	}
	for range 50 {
		a.Impact = append(a.Impact, alert.Impact{Cluster: bad, Name: bad, Owner: bad, Tags: map[string]string{bad: bad, "environment": bad}})
	}
	return alert.Fit(a)
}

// Hostile is a name as somebody would choose it who wants to be more than a name in
// some channel's markup.
func Hostile() string {
	return "<!channel> <script>alert(1)</script> [x](http://evil.example) <https://evil.example|x> *_~`\\ & ü\" {{.ID}} \x1b[2J\u202e\r\nBcc: x@evil.example"
}

package approvals

import (
	"net/http"
	"strconv"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
)

// incidentView is what the page of an incident shows.
type incidentView struct {
	Known       guard.Known
	Box         problemBox
	Who         approval.Person
	Mark        string
	State, Look string
	Open        bool // to be acknowledged
	Silencing   bool // its silence is what somebody came for
	Hushes      []hush
	Spans       []span
}

// hush is a silence that keeps its alerts back now.
type hush struct {
	guard.Hush
	Left string
}

// span is a time for which it may be silenced.
type span struct{ Value, Words string }

func incidentPage(k guard.Known, v visit) funchost.Response {
	p := incidentView{
		Known: k, Box: boxOf(k.Problem, k.At), Who: v.who, Mark: v.mark, State: "is open", Look: "is-bad",
		Open: k.State == incident.Open && k.Acked == nil, Silencing: v.silencing, Spans: spans(k.At),
	}
	switch {
	case k.State == incident.Resolved:
		p.State, p.Look, p.Box.Look, p.Box.Ink = "is over", "is-good", "good", "is-good"
	case k.State == incident.Uncertain:
		p.State, p.Look = "cannot be told now", "is-warn"
	case k.Acked != nil:
		p.State, p.Look = "is worked on", "is-warn"
	}
	for _, s := range k.Silences {
		p.Hushes = append(p.Hushes, hush{s, left(s.Until.Sub(k.At))})
	}
	return render("incident", http.StatusOK, p)
}

// spans are the times that the page offers, each with its end: nobody is to reckon at
// night. They fit a telephone's width.
func spans(now time.Time) []span {
	var out []span
	for _, hours := range [...]int{1, 4, 12, 24, 3 * 24, 7 * 24, int(guard.MaxSilence / time.Hour)} {
		words := strconv.Itoa(hours) + " hours"
		switch {
		case hours == 1:
			words = "1 hour"
		case hours > 24:
			words = strconv.Itoa(hours/24) + " days"
		}
		out = append(out, span{strconv.Itoa(hours) + "h", words + ", until " + now.Add(time.Duration(hours)*time.Hour).UTC().Format("2 Jan 15:04 UTC")})
	}
	return out
}

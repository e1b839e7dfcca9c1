package approvals

import (
	"context"
	"net/http"
	"strings"

	"cmkguard/internal/approval"
	"cmkguard/internal/fault"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
)

// Watch is where incidents lie, and who works on them is taken in.
type Watch interface {
	Incident(ctx context.Context, check, partition string) (guard.Known, error)
	Acknowledge(ctx context.Context, partition, check, by, reason string) (incident.Incident, error)
}

// visit is who came, to which incident.
type visit struct {
	who              approval.Person
	mark             string
	cookie           bool
	check, partition string
}

// incidentOf reads the route's id of an incident: incident~CHECK~PARTITION.
func incidentOf(id string) (check, partition string, ok bool) {
	rest, ok := strings.CutPrefix(id, "incident~")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "~")
}

// incidentAnswer shows an incident, or takes in that somebody works on it. A GET
// never acts.
func incidentAnswer(ctx context.Context, w Watch, req funchost.Request, v visit) funchost.Response {
	if req.Method == http.MethodPost {
		asked, refusal := read(req)
		switch {
		case refusal != nil:
			return *refusal
		case asked.Decision != "acknowledge":
			return problem(http.StatusBadRequest, "decision: want acknowledge")
		case forged(asked, v.mark, v.cookie):
			return problem(http.StatusForbidden, oldPage)
		}
		by := v.who.Name + " (object id " + v.who.Object + ")"
		if _, err := w.Acknowledge(ctx, v.partition, v.check, by, asked.Reason); err != nil {
			return refused(ctx, w, v, err)
		}
	}
	known, err := w.Incident(ctx, v.check, v.partition)
	if err != nil {
		return failed(err)
	}
	if !forPeople(req) {
		return inJSON(http.StatusOK, known)
	}
	return incidentPage(known, v)
}

// refused tells one that is not there from one that is over or taken already.
func refused(ctx context.Context, w Watch, v visit, err error) funchost.Response {
	if !fault.Is(err, fault.Invalid) {
		return failed(err)
	}
	if _, gone := w.Incident(ctx, v.check, v.partition); gone != nil {
		return failed(gone)
	}
	return problem(http.StatusConflict, err.Error())
}

func incidentPage(k guard.Known, v visit) funchost.Response {
	p := struct {
		Known       guard.Known
		Box         problemBox
		Who         approval.Person
		Mark        string
		State, Look string
		Open        bool // to be acknowledged
	}{Known: k, Box: boxOf(k.Problem, k.At), Who: v.who, Mark: v.mark, State: "is open", Look: "is-bad", Open: k.State == incident.Open && k.Acked == nil}
	switch {
	case k.State != incident.Open:
		p.State, p.Look, p.Box.Look, p.Box.Ink = "is over", "is-good", "good", "is-good"
	case k.Acked != nil:
		p.State, p.Look = "is worked on", "is-warn"
	}
	return render("incident", http.StatusOK, p)
}

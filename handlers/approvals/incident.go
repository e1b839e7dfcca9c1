package approvals

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/fault"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
)

// Watch is where incidents lie, and what people do about them is taken in.
type Watch interface {
	Incident(ctx context.Context, check, partition string) (guard.Known, error)
	Acknowledge(ctx context.Context, partition, check, by, reason string) (incident.Incident, error)
	Quieter
}

// Quieter keeps an incident's alerts from people for a while.
type Quieter interface {
	SilenceIncident(ctx context.Context, partition, check string, ask guard.Silencing, by approval.Person) error
	UnsilenceIncident(ctx context.Context, partition, check, id string, by approval.Person, reason string) error
}

// What is decided about an incident.
const (
	acknowledge = "acknowledge"
	silence     = "silence"
	unsilence   = "unsilence" // ends one before its time
)

// visit is who came, to which incident, and for what.
type visit struct {
	who              approval.Person
	mark             string
	cookie           bool
	check, partition string
	silencing        bool // by the link to silence it
}

// visitOf reads the route's id of an incident, incident~CHECK~PARTITION, or of the
// same to be silenced, silence~CHECK~PARTITION.
func visitOf(id string) (v visit, ok bool) {
	rest, ok := strings.CutPrefix(id, "incident~")
	if !ok {
		rest, v.silencing = strings.CutPrefix(id, "silence~")
	}
	if !ok && !v.silencing {
		return v, false
	}
	v.check, v.partition, ok = strings.Cut(rest, "~")
	return v, ok
}

// incidentAnswer shows an incident, or takes in what a person does about it. A GET
// never acts.
func incidentAnswer(ctx context.Context, w Watch, req funchost.Request, v visit) funchost.Response {
	if req.Method == http.MethodPost {
		asked, refusal := read(req)
		if refusal != nil {
			return *refusal
		}
		if forged(asked, v.mark, v.cookie) {
			return problem(http.StatusForbidden, oldPage)
		}
		if no := act(ctx, w, v, asked); no != nil {
			return *no
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

// act does what a proven person decided; refusal is nil if it is done.
func act(ctx context.Context, w Watch, v visit, a asked) (refusal *funchost.Response) {
	bad := func(text string) *funchost.Response { r := problem(http.StatusBadRequest, text); return &r }
	var err error
	switch a.Decision {
	case acknowledge:
		_, err = w.Acknowledge(ctx, v.partition, v.check, v.who.Name+" (object id "+v.who.Object+")", a.Reason)
	case silence:
		ask, wrong := silencingOf(a)
		if wrong != "" {
			return bad(wrong)
		}
		err = w.SilenceIncident(ctx, v.partition, v.check, ask, v.who)
	case unsilence:
		if a.Silence == "" {
			return bad("silence: want the id of the silence to end, such as s-7c6d26e1")
		}
		err = w.UnsilenceIncident(ctx, v.partition, v.check, a.Silence, v.who, a.Reason)
	default:
		return bad("decision: want acknowledge, silence or unsilence")
	}
	if err != nil {
		r := refused(ctx, w, v, err)
		return &r
	}
	return nil
}

// silencingOf reads what is to be silenced and for how long; wrong names the field and
// how to mend it.
func silencingOf(a asked) (ask guard.Silencing, wrong string) {
	ask = guard.Silencing{Scope: guard.Scope(a.Scope), Reason: a.Reason}
	if !slices.Contains([]guard.Scope{guard.ScopeIncident, guard.ScopeSubject, guard.ScopeVault}, ask.Scope) {
		return ask, "scope: want incident, subject or vault; for patterns there is cmkguard silence add"
	}
	var err error
	if ask.For, err = time.ParseDuration(a.For); err != nil || ask.For <= 0 || ask.For > guard.MaxSilence {
		return ask, fmt.Sprintf("for: want how long, such as 4h, %dh at most; what is known for longer is an exemption of the policy", int(guard.MaxSilence.Hours()))
	}
	return ask, ""
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

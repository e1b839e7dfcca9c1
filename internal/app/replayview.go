package app

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/capture"
	"cmkguard/internal/event"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
)

// replayed is what a file would lead to. It holds no time of ours and no id that is
// made anew each time, so that the same file over the same state is the same text.
type replayed struct {
	Shape    []string          `json:"shape"`
	GivenUp  []event.GivenUp   `json:"givenUp,omitempty"`
	Ignored  []event.Ignored   `json:"ignored,omitempty"`
	Dropped  int               `json:"dropped,omitempty"` // unrelated records of a log
	Uses     int               `json:"uses,omitempty"`    // claims of use: a row each day
	Problems []capture.Problem `json:"problems,omitempty"`
	Notes    []string          `json:"notes,omitempty"`
	Acts     []actView         `json:"acts"`
	Would    bool              `json:"would"` // something would be done, or somebody told
}

type actView struct {
	Signal   *signalView   `json:"signal,omitempty"`
	Before   string        `json:"before,omitempty"` // how far an earlier delivery of it came
	Touches  []string      `json:"touches"`
	Unseen   string        `json:"unseen,omitempty"`
	Verdicts []verdictView `json:"verdicts"`
	Plans    []planView    `json:"plans"`
	Tells    []tellView    `json:"tells"`
	Follows  []string      `json:"follows,omitempty"`
	Note     string        `json:"note,omitempty"`
	Acts     bool          `json:"acts"`
}

type signalView struct {
	Kind    event.Kind   `json:"kind"`
	Subject string       `json:"subject"`
	ID      string       `json:"id,omitempty"`
	Type    string       `json:"type,omitempty"`
	Source  string       `json:"source,omitempty"`
	Time    *time.Time   `json:"time,omitempty"`
	Key     string       `json:"key,omitempty"`
	Claim   *event.Claim `json:"claim,omitempty"`
}

type verdictView struct {
	Answer   risk.Answer   `json:"answer"`
	Check    string        `json:"check"`
	Severity risk.Severity `json:"severity"`
	Title    string        `json:"title"`
	Subject  string        `json:"subject"`
	Why      string        `json:"why"`
	Breaks   string        `json:"breaks,omitempty"`
	By       *time.Time    `json:"by,omitempty"`
	Remedy   string        `json:"remedy,omitempty"`
	Guidance string        `json:"guidance,omitempty"`
	Reads    []string      `json:"reads"`
}

type planView struct {
	Remedy    string          `json:"remedy"`
	Subject   string          `json:"subject"`
	ID        string          `json:"id,omitempty"` // if it is stored: others can be made anew with another
	Begins    bool            `json:"begins"`
	Doing     string          `json:"doing,omitempty"`
	Steps     []plan.Step     `json:"steps"`
	Consumers []plan.Consumer `json:"consumers,omitempty"`
	Gates     []plan.Ruling   `json:"gates"`
	Causes    []string        `json:"causes,omitempty"`
}

type tellView struct {
	Severity  risk.Severity    `json:"severity"`
	Lifecycle string           `json:"lifecycle"`
	Title     string           `json:"title"`
	What      string           `json:"what"`
	Now       bool             `json:"now"` // somebody gets it now; else it is held for a while
	Channels  []guard.Listener `json:"channels"`
}

func viewOf(a guard.Act) actView {
	out := actView{
		Before: a.Before, Touches: append([]string{}, a.Clusters...), Unseen: a.Unseen, Follows: a.Follows, Note: a.Note, Acts: a.Acts(),
		Verdicts: []verdictView{}, Plans: []planView{}, Tells: []tellView{},
	}
	if s := a.Signal; s.Kind != "" {
		v := signalView{Kind: s.Kind, Subject: s.Subject.String(), ID: s.ID, Type: s.Type, Source: s.Source, Claim: s.Claim}
		if !s.Time.IsZero() {
			v.Time = &s.Time
		}
		if !s.Key.IsZero() {
			v.Key = s.Key.String()
		}
		out.Signal = &v
	}
	for _, v := range a.Verdicts {
		w := verdictView{v.Answer, v.Check, v.Severity, v.Title, v.Subject.String(), v.Why, v.Breaks, v.By, v.Remedy, v.Guidance, []string{}}
		for _, e := range v.Evidence {
			w.Reads = append(w.Reads, e.Call+": "+e.Value)
		}
		out.Verdicts = append(out.Verdicts, w)
	}
	for _, p := range a.Plans {
		w := planView{Remedy: p.Plan.Remedy, Subject: p.Plan.Subject.String(), Begins: p.Begins, Doing: p.Doing, Steps: p.Plan.Steps, Consumers: p.Plan.Consumers, Gates: p.Rulings, Causes: p.Causes}
		if p.Known {
			w.ID = p.Plan.ID
		} else {
			w.Steps = slices.Clone(w.Steps)
			for i := range w.Steps {
				w.Steps[i].Key = "" // made of the id
			}
		}
		out.Plans = append(out.Plans, w)
	}
	for _, t := range a.Told {
		out.Tells = append(out.Tells, tellView{t.Alert.Severity, string(t.Alert.Lifecycle), t.Alert.Title, t.Alert.What, t.Heard(), t.Targets})
	}
	return out
}

// write prints it for people.
func (r replayed) write(out io.Writer) error {
	w := &lines{out: out}
	w.line("%s", strings.Join(r.Shape, ", in it: "))
	for _, g := range r.GivenUp {
		w.line("  given up   %s: %s after %d attempts, last answer %s", g.ID, g.Reason, g.Attempts, g.Outcome)
	}
	for _, i := range r.Ignored {
		w.line("  ignored    %s (%s): %s", i.ID, i.Type, i.Reason)
	}
	if r.Dropped > 0 {
		w.line("  dropped    %d records that are nobody's business here", r.Dropped)
	}
	if r.Uses > 0 {
		w.line("  noted      %d claims of use", r.Uses)
	}
	for _, p := range r.Problems {
		w.line("  UNREADABLE %s", p)
	}
	for _, n := range r.Notes {
		w.line("  %s", n)
	}
	shown := map[string]int{}
	for i, a := range r.Acts {
		a.write(w, i+1, shown)
	}
	w.line("%s", r.sum())
	return w.err
}

// sum is the last line.
func (r replayed) sum() string {
	begins, tells := 0, 0
	for _, a := range r.Acts {
		for _, t := range a.Tells {
			if t.Now {
				tells++
			}
		}
		for _, p := range a.Plans {
			if p.Begins {
				begins++
			}
		}
	}
	text := fmt.Sprintf("%d plans would begin, %d alerts would be sent", begins, tells)
	if !r.Would {
		text = "nothing would be done, and nobody told"
	}
	if n := len(r.Problems); n > 0 {
		text += fmt.Sprintf("; %d parts cannot be read: they would be kept as poison, and told", n)
	}
	return text
}

// jsonOf gives the JSON of our own plain values, by which two are compared.
func jsonOf(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil // unreachable: no channel, func or float is in them
	}
	return raw
}

// lines prints what others wrote so that a terminal only shows it.
type lines struct {
	out io.Writer
	err error
}

func (l *lines) line(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintln(l.out, strings.TrimRight(plain(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")), " "))
	}
}

func (a actView) write(w *lines, n int, shown map[string]int) {
	if a.Signal == nil {
		w.line("%d. %s", n, a.Note)
		return
	}
	a.Signal.write(w, n)
	switch a.Before {
	case "":
	case "above":
		w.line("  seen       the same event stands above: it would be recognised, and nothing done")
		return
	default:
		w.line("  seen       this event was taken in before (%s): delivered again it would be recognised; below is what it would lead to now, were it new", a.Before)
	}
	for _, t := range a.Touches {
		w.line("  touches    %s", t)
	}
	if len(a.Touches) == 0 {
		w.line("  touches    no cluster that is known to be there")
	}
	if a.Unseen != "" {
		w.line("  UNSEEN     not every cluster could be seen: %s", a.Unseen)
	}
	for _, v := range a.Verdicts {
		w.line("  %-10s %s %s, %s (%s): %s", strings.ToUpper(string(v.Answer)), v.Check, v.Severity, v.Title, v.Subject, v.Why)
	}
	for _, p := range a.Plans {
		p.write(w, n, shown)
	}
	for _, t := range a.Tells {
		t.write(w)
	}
	for _, f := range a.Follows {
		w.line("  follows    a look at %s", f)
	}
}

func (s *signalView) write(w *lines, n int) {
	w.line("%d. %s  %s", n, s.Kind, s.Subject)
	if s.ID != "" {
		w.line("  event      %s, %s", s.ID, s.Type)
		w.line("  source     %s", s.Source)
	}
	if s.Claim != nil {
		w.line("  claim      %s", s.Claim)
	}
}

func (t tellView) write(w *lines) {
	names := make([]string, 0, len(t.Channels))
	for _, c := range t.Channels {
		name := c.Channel + " (" + c.Why + ")"
		if c.Held != "" {
			name = c.Channel + " not yet: held by " + c.Held
		}
		names = append(names, name)
	}
	w.line("  tells      %s, %s: %s", strings.ToUpper(string(t.Severity)), t.Lifecycle, t.Title)
	w.line("             to %s", strings.Join(names, ", "))
}

// write shows each plan whole once: many signals of one file ask for the same.
func (p planView) write(w *lines, n int, shown map[string]int) {
	state := "is held"
	switch {
	case p.Begins:
		state = "WOULD BEGIN"
	case p.Doing != "":
		state = p.Doing
	}
	name := p.Remedy
	if p.ID != "" {
		name += " (" + p.ID + ")"
	}
	w.line("  plan       %s of %s: %s", name, p.Subject, state)
	key := string(jsonOf([]any{p.Remedy, p.Subject, p.Steps, p.Gates}))
	if at, ok := shown[key]; ok {
		w.line("    steps and gates as under %d", at)
		return
	}
	shown[key] = n
	for i, s := range p.Steps {
		w.line("    step %d   %s", i+1, s.Call)
		w.line("             from %s to %s; read back: %s; undo: %s", orDefault(s.From, "nothing"), orDefault(s.To, "nothing"), s.ReadBack, s.Undo)
	}
	for _, g := range p.Gates {
		w.line("    %-8s %s: %s", g.Answer, g.Gate, g.Reason)
	}
	if len(p.Causes) > 0 {
		w.line("    caused   as events and logs say: %s", strings.Join(p.Causes, ", "))
	}
}

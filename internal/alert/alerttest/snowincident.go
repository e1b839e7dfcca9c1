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

// SnowIncident is a record of ServiceNow's incident table, as a request writes it.
type SnowIncident struct {
	ShortDescription   string `json:"short_description"`
	Description        string `json:"description"`
	Impact             string `json:"impact"`
	Urgency            string `json:"urgency"`
	CorrelationID      string `json:"correlation_id"`
	CorrelationDisplay string `json:"correlation_display"`
	WorkNotes          string `json:"work_notes"`
	State              string `json:"state"`
	CloseCode          string `json:"close_code"`
	CloseNotes         string `json:"close_notes"`

	SysID  string   `json:"-"`
	Number string   `json:"-"`
	Notes  []string `json:"-"`
}

// SnowTable is one instance's incident table. Its zero value is empty.
type SnowTable struct {
	mu   sync.Mutex
	Rows []*SnowIncident
}

// Incidents are copies of the records.
func (t *SnowTable) Incidents() (out []SnowIncident) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.Rows {
		out = append(out, *r)
	}
	return out
}

// snowAsked reads an encoded query for one correlation id that is not in a final state
// (docs.servicenow.com, "Encoded query strings": conditions are joined by ^, so that one
// in a value would be another condition).
func snowAsked(r *http.Request) (key string, ok bool) {
	m := regexp.MustCompile(`^correlation_id=([^^]+)\^stateNOT IN6,7,8$`).FindStringSubmatch(r.URL.Query().Get("sysparm_query"))
	if m == nil {
		return "", false
	}
	return m[1], true
}

const snowTable = "/api/now/table/incident"

// ServiceNowIncident is the Table API on the incident table (docs.servicenow.com, "Table
// API"): GET answers 200 with a list, also an empty one, POST 201 and PATCH 200 with the
// record; an unknown sys_id is 404; what a data policy wants and is not there is 403.
// auth opens it. table nil: each server has its own. keeps: whatever is asked for is open
// there.
func ServiceNowIncident(auth string, table *SnowTable, keeps bool) Provider {
	of := eachHost(table)
	return Provider{
		Name: "servicenow-incident", OK: http.StatusOK, Busy: `{"error":{"message":"Rate limit exceeded","detail":"too many requests"},"status":"failure"}`,
		Refuse: func(r *http.Request, body []byte) *Refusal {
			switch {
			case r.Header.Get("Authorization") != auth:
				return no(http.StatusUnauthorized, "User Not Authenticated", "Required to provide Auth information")
			case r.URL.Path != snowTable && !strings.HasPrefix(r.URL.Path, snowTable+"/"):
				return no(http.StatusBadRequest, "Requested URI does not represent any resource", r.URL.Path)
			}
			return of(r).take(r, body, keeps)
		},
		Refusal: func(w http.ResponseWriter, status int, code, message string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"message": code, "detail": message}, "status": "failure"})
		},
		Answer: func(w http.ResponseWriter, r *http.Request, _ []byte) { of(r).answer(w, r, keeps) },
	}
}

// take does what is asked for, if it may: whether the answer arrives is another matter.
func (t *SnowTable) take(r *http.Request, body []byte, keeps bool) *Refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	var in SnowIncident
	if r.Method != http.MethodGet && json.Unmarshal(body, &in) != nil {
		return no(http.StatusBadRequest, "Exception while reading request", "The payload is not valid JSON")
	}
	if p := snowProblem(in); p != "" {
		return no(http.StatusBadRequest, "Operation Failed", p)
	}
	id := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, snowTable), "/")
	at := slices.IndexFunc(t.Rows, func(x *SnowIncident) bool { return x.SysID == id })
	_, asks := snowAsked(r)
	switch {
	case r.Method == http.MethodGet && id == "" && asks:
	case r.Method == http.MethodPost && id == "":
		if in.ShortDescription == "" || in.CorrelationID == "" {
			return no(http.StatusForbidden, "Operation Failed", "Data Policy Exception: The following fields are mandatory: Short description")
		}
		in.SysID, in.Number, in.State = fmt.Sprintf("%032x", len(t.Rows)+1), fmt.Sprintf("INC%07d", 10001+len(t.Rows)), "1"
		t.Rows = append(t.Rows, &in)
	case r.Method == http.MethodPatch && keeps:
		return snowClosing(in)
	case r.Method == http.MethodPatch && at >= 0:
		if refusal := snowClosing(in); refusal != nil {
			return refusal
		}
		t.Rows[at].patch(in)
	case r.Method == http.MethodPatch:
		return no(http.StatusNotFound, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
	default:
		return no(http.StatusBadRequest, "Invalid query detected", r.Method+" "+r.URL.RequestURI())
	}
	return nil
}

func (x *SnowIncident) patch(in SnowIncident) {
	if in.WorkNotes != "" {
		x.Notes = append(x.Notes, in.WorkNotes)
	}
	if in.State != "" {
		x.State, x.CloseCode, x.CloseNotes = in.State, in.CloseCode, in.CloseNotes
	}
}

// snowClosing: to resolve or close wants a code and notes (docs.newrelic.com, "Resolve a
// ServiceNow incident"); a data policy that is not met is refused.
func snowClosing(in SnowIncident) *Refusal {
	if (in.State == "6" || in.State == "7") && (in.CloseCode == "" || in.CloseNotes == "") {
		return no(http.StatusForbidden, "Operation Failed", "Data Policy Exception: The following fields are mandatory: Resolution code, Resolution notes")
	}
	return nil
}

// snowProblem is what does not fit: the table would cut it in silence.
func snowProblem(in SnowIncident) string {
	for name, f := range map[string]struct {
		text string
		most int
	}{
		"short_description": {in.ShortDescription, 160}, "description": {in.Description, 4000}, "correlation_id": {in.CorrelationID, 100},
		"correlation_display": {in.CorrelationDisplay, 100}, "work_notes": {in.WorkNotes, 4000}, "close_notes": {in.CloseNotes, 4000},
	} {
		if utf8.RuneCountInString(f.text) > f.most {
			return name + " is too long"
		}
	}
	for _, s := range []string{in.Impact, in.Urgency} {
		if s != "" && !slices.Contains([]string{"1", "2", "3"}, s) {
			return "impact and urgency are 1 to 3"
		}
	}
	return ""
}

func (t *SnowTable) answer(w http.ResponseWriter, r *http.Request, keeps bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.Method {
	case http.MethodPost:
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"result": map[string]string{"number": t.Rows[len(t.Rows)-1].Number}})
		return
	case http.MethodPatch:
		_ = json.NewEncoder(w).Encode(map[string]any{"result": map[string]string{"number": "INC0010001"}})
		return
	}
	found := []map[string]string{}
	if keeps {
		found = append(found, map[string]string{"sys_id": strings.Repeat("a", 32)})
	}
	key, _ := snowAsked(r)
	for _, x := range t.Rows {
		if x.CorrelationID == key && !slices.Contains([]string{"6", "7", "8"}, x.State) {
			found = append(found, map[string]string{"sys_id": x.SysID})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"result": found})
}

// SeenInSnowIncident is what a person reads of a record or of a note.
func SeenInSnowIncident(body []byte) string {
	var in SnowIncident
	_ = json.Unmarshal(body, &in)
	return strings.Join([]string{in.ShortDescription, in.Description, in.WorkNotes, in.CloseNotes}, "\n")
}

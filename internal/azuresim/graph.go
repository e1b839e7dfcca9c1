package azuresim

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	graphPath   = "/providers/microsoft.resourcegraph/resources"
	graphQuota  = 15 // queries of one user in graphWindow (Resource Graph, throttled requests, [doc]: about)
	graphWindow = 5 * time.Second
	graphPage   = 100 // rows, unless $top asks for more
	graphMax    = 1000
)

// graphRequest is the body of POST resources, API 2024-04-01.
type graphRequest struct {
	Subscriptions []string `json:"subscriptions"`
	Query         string   `json:"query"`
	Options       struct {
		Top       int    `json:"$top"`
		Skip      int    `json:"$skip"`
		SkipToken string `json:"$skipToken"`
		Format    string `json:"resultFormat"`
		Filter    string `json:"authorizationScopeFilter"`
	} `json:"options"`
}

// serveGraph is Azure Resource Graph: it answers from rows that may be old, and
// leaves out what the caller may not read, without a word ([doc]).
func (s *Sim) serveGraph(w http.ResponseWriter, r *http.Request, c *Caller) {
	if r.Method != http.MethodPost {
		(&armError{Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed", Message: "use POST"}).write(w)
		return
	}
	if e := s.takeQuota(w, c); e != nil {
		e.write(w)
		return
	}
	var q graphRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		armBadRequest("InvalidRequestContent", "The request content was invalid: '%s'.", err).write(w)
		return
	}
	kql, err := parseKQL(q.Query)
	rows, known := s.graphTables(tableOf(kql))[tableOf(kql)]
	if err != nil || !known {
		graphInvalid(q.Query, err).write(w)
		return
	}
	seen := rows[:0:0]
	for _, row := range rows {
		if id := kqlString(row["id"]); c.reads(id) && inSubscriptions(row, q) {
			seen = append(seen, row)
		}
	}
	s.writePage(w, q, kql, kql.run(seen))
}

func tableOf(q *kqlQuery) string {
	if q == nil {
		return ""
	}
	return q.Table
}

// inSubscriptions: no list is every subscription. Rows without a subscription
// are above all of them and need authorizationScopeFilter ([doc]: the default
// AtScopeAndBelow leaves them out).
func inSubscriptions(row kqlRow, q graphRequest) bool {
	sub := kqlString(row["subscriptionId"])
	if sub == "" {
		return strings.HasPrefix(q.Options.Filter, "AtScopeAbove")
	}
	return len(q.Subscriptions) == 0 || slices.ContainsFunc(q.Subscriptions, func(s string) bool { return strings.EqualFold(s, sub) })
}

// writePage cuts the result as the service does: 100 rows unless asked, 1,000
// at most, and a token for the rest only where the rows carry their id; without
// it the result is just cut ([doc]: work with large data sets).
func (s *Sim) writePage(w http.ResponseWriter, q graphRequest, kql *kqlQuery, rows []kqlRow) {
	top := q.Options.Top
	if top <= 0 {
		top = graphPage
	}
	if top > graphMax {
		armBadRequest("BadRequest", "$top must be between 1 and %d.", graphMax).write(w)
		return
	}
	from := q.Options.Skip
	if q.Options.SkipToken != "" {
		raw, undecoded := base64.StdEncoding.DecodeString(q.Options.SkipToken)
		var err error
		if from, err = strconv.Atoi(string(raw)); undecoded != nil || err != nil || from < 0 {
			armBadRequest("BadRequest", "The skip token is not valid.").write(w)
			return
		}
	}
	from = min(max(from, 0), len(rows))
	to := min(from+top, len(rows))
	body := map[string]any{"totalRecords": len(rows), "count": to - from, "facets": []any{}, "resultTruncated": "false", "data": graphData(rows[from:to], q, kql)}
	switch keyed := len(kql.Columns) == 0 || slices.Contains(kql.Columns, "id"); {
	case to == len(rows):
	case keyed:
		body["$skipToken"] = base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(to)))
	default:
		body["resultTruncated"] = "true"
	}
	writeJSON(w, http.StatusOK, body)
}

// graphData is the rows in the asked format: objects unless it is "table".
func graphData(rows []kqlRow, q graphRequest, kql *kqlQuery) any {
	if !strings.EqualFold(q.Options.Format, "table") {
		return append([]kqlRow{}, rows...)
	}
	columns, cells := []any{}, []any{}
	for _, name := range kql.Columns {
		columns = append(columns, map[string]any{"name": name, "type": "string"})
	}
	for _, r := range rows {
		line := []any{}
		for _, name := range kql.Columns {
			line = append(line, r[name])
		}
		cells = append(cells, line)
	}
	return map[string]any{"columns": columns, "rows": cells}
}

// takeQuota counts the caller's queries in the window that ends now, refused
// ones left out, by the record of calls.
func (s *Sim) takeQuota(w http.ResponseWriter, c *Caller) *armError {
	if s.o.NoGraphQuota {
		return nil
	}
	now, used, oldest := s.clock.Now(), 0, time.Time{}
	for i := len(s.calls) - 1; i >= 0 && now.Sub(s.calls[i].At) < graphWindow; i-- {
		if p := s.calls[i]; p.Caller == c.Name && p.Status != http.StatusTooManyRequests && strings.EqualFold(p.Path, graphPath) {
			used, oldest = used+1, p.At
		}
	}
	wait := graphWindow
	if used > 0 {
		wait = oldest.Add(graphWindow).Sub(now)
	}
	seconds := int((wait + time.Second - 1) / time.Second)
	w.Header().Set("x-ms-user-quota-remaining", strconv.Itoa(max(graphQuota-used-1, 0)))
	w.Header().Set("x-ms-user-quota-resets-after", time.Time{}.Add(time.Duration(seconds)*time.Second).Format(time.TimeOnly))
	if used < graphQuota {
		return nil
	}
	return &armError{Status: http.StatusTooManyRequests, Code: "RateLimiting", RetryAfter: strconv.Itoa(seconds),
		Message: "Please provide below info when asking for support: client has exceeded the query quota; wait until it resets."}
}

func graphInvalid(query string, err error) *armError {
	message := "the table of the query is not known: " + query
	if err != nil {
		message = err.Error()
	}
	return &armError{Status: http.StatusBadRequest, Code: "BadRequest", Message: "Please provide below info when asking for support.",
		Details: []map[string]any{{"code": "InvalidQuery", "message": "Query is invalid. " + message}}}
}

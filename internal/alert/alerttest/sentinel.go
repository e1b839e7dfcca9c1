package alerttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Sentinel is the Logs Ingestion API for one data collection rule and stream: an array
// of rows, 1 MB a call, 64 KB a field (longer is cut there, which we do not want), and
// columns of letters, digits and _ that are none of the reserved ones (learn.microsoft.
// com azure/azure-monitor/logs/logs-ingestion-api-overview, .../fundamentals/
// service-limits#logs-ingestion-api). 204 is taken; 403 says that the identity may not
// publish to the rule.
func Sentinel(token, rule, stream string) Provider {
	return Provider{
		Name: "sentinel", OK: http.StatusNoContent, Busy: `{"error":{"code":"TooManyRequests","message":"Request rate limit exceeded"}}`,
		Refuse: func(r *http.Request, body []byte) *Refusal {
			var rows []map[string]any
			switch {
			case r.Header.Get("Authorization") != "Bearer "+token:
				return no(http.StatusForbidden, "OperationFailed", "The authentication token provided does not have access to ingest data for the data collection rule")
			case r.Method != http.MethodPost || r.URL.Path != "/dataCollectionRules/"+rule+"/streams/"+stream || r.URL.Query().Get("api-version") != "2023-01-01":
				return no(http.StatusNotFound, "NotFound", "Data collection rule with immutable Id or stream not found")
			case len(body) > 1<<20:
				return no(http.StatusRequestEntityTooLarge, "ContentLengthLimitExceeded", "Maximum allowed content length: 1048576 bytes")
			case json.Unmarshal(body, &rows) != nil || len(rows) == 0:
				return no(http.StatusBadRequest, "InvalidPayload", "Invalid payload: expected a JSON array")
			}
			for _, row := range rows {
				if p := rowProblem(row); p != "" {
					return no(http.StatusBadRequest, "InvalidPayload", p)
				}
			}
			return nil
		},
		Refusal: func(w http.ResponseWriter, status int, code, message string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}})
		},
	}
}

func rowProblem(row map[string]any) string {
	for name, v := range row {
		raw, _ := json.Marshal(v)
		switch {
		case !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,44}$`).MatchString(name),
			slices.Contains([]string{"_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"}, name):
			return "column " + name
		case len(raw) > 64<<10:
			return fmt.Sprintf("column %s has %d bytes and would be cut", name, len(raw))
		}
	}
	at, _ := row["TimeGenerated"].(string)
	if _, err := time.Parse(time.RFC3339, at); err != nil {
		return "TimeGenerated"
	}
	return ""
}

// SeenInSentinel is a row's headline, with its severity and flags.
func SeenInSentinel(body []byte) string {
	var rows []map[string]any
	_ = json.Unmarshal(body, &rows)
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintln(&b, r["Severity"], r["Headline"], r["What"])
	}
	return b.String()
}

package azuresim

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

// graphSnapshot is the tables of Resource Graph as they were at a time.
type graphSnapshot struct {
	at     time.Time
	tables map[string][]kqlRow
	text   []byte // the tables' JSON, to see whether anything changed
}

// graphTables returns the tables that a query of one sees now: the present, or with
// Options.GraphLag the newest that is old enough ([doc]: change notifications
// and regular scans, no promise of freshness).
func (s *Sim) graphTables(table string) map[string][]kqlRow {
	if s.o.GraphLag <= 0 {
		return s.liveTables(table)
	}
	limit := s.clock.Now().Add(-s.o.GraphLag)
	shown := s.graphPast[0]
	for _, past := range s.graphPast {
		if !past.at.After(limit) {
			shown = past
		}
	}
	return shown.tables
}

// rememberGraph keeps the tables for later when they changed. It looks at each
// control-plane request, so a change is dated by the first request after it:
// rows can be older than the lag, never newer. The first look is taken as the
// state of long ago.
func (s *Sim) rememberGraph() {
	if s.o.GraphLag <= 0 {
		return
	}
	tables := s.liveTables("")
	text, err := json.Marshal(tables)
	if n := len(s.graphPast); err != nil || n > 0 && bytes.Equal(text, s.graphPast[n-1].text) {
		return
	}
	s.graphPast = append(s.graphPast, graphSnapshot{s.clock.Now(), tables, text})
}

// liveTables builds the tables from the world. databases are not indexed, keys
// are data plane, deny assignments are not in authorizationresources ([doc]). What
// a query of one table does not need is left out; "" is for all.
func (s *Sim) liveTables(table string) map[string][]kqlRow {
	var resources, authorization []kqlRow
	if table == "resources" {
		return s.graphDocuments(map[string][]kqlRow{"resources": s.resourceRows(), "authorizationresources": nil})
	}
	if table == "" {
		resources = s.resourceRows()
	}
	for _, a := range s.assignments {
		authorization = append(authorization, graphRow(assignmentBody(a), s.o.TenantID))
	}
	for _, id := range slices.Sorted(maps.Keys(s.roles)) {
		authorization = append(authorization, graphRow(definitionBody(s.roles[id]), s.o.TenantID))
	}
	return s.graphDocuments(map[string][]kqlRow{"resources": resources, "authorizationresources": authorization})
}

func (s *Sim) resourceRows() (rows []kqlRow) {
	for _, typ := range []string{azureid.TypeRedisEnterprise, azureid.TypeVault, azureid.TypeIdentity} {
		for _, body := range s.bodies(typ) {
			if id, _ := body["id"].(string); !s.documents.hidden[strings.ToLower(id)] {
				rows = append(rows, graphRow(body, s.o.TenantID))
			}
		}
	}
	return append(rows, s.topicRows()...)
}

// graphRow is a resource as Resource Graph indexes it: the body with the
// columns of the table added, types and locations in lower case ([sample]).
func graphRow(body map[string]any, tenant string) kqlRow {
	row := kqlRow{}
	raw, err := json.Marshal(body)
	if err == nil {
		err = json.Unmarshal(raw, &row)
	}
	if err != nil {
		return kqlRow{} // unreachable: maps of plain values
	}
	row["type"] = strings.ToLower(kqlString(row["type"]))
	row["tenantId"] = tenant
	if l := kqlString(row["location"]); l != "" {
		row["location"] = region(l)
	}
	if id, err := azureid.ParseResource(kqlString(row["id"])); err == nil {
		row["subscriptionId"], row["resourceGroup"] = id.Subscription(), strings.ToLower(id.ResourceGroup())
	}
	return row
}

package azuresim

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
)

// documents are answers of Resource Manager about things that the world does not
// model: what a test puts there is what GET shows, and a list that nobody set is
// empty. Rows are added to Resource Graph's tables likewise.
type documents struct {
	bodies map[string]any // by path, in lower case
	rows   map[string][]kqlRow
	hidden map[string]bool // ids that Resource Graph does not show
}

// HideFromGraph keeps a resource out of Resource Graph, as a filter of rights or
// an index that lags does; a GET of it answers.
func (s *Sim) HideFromGraph(id azureid.Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.documents.hidden == nil {
		s.documents.hidden = map[string]bool{}
	}
	s.documents.hidden[id.Key()] = true
}

// SetDocument makes GET of a Resource Manager path answer with the body.
func (s *Sim) SetDocument(path string, body any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.documents.bodies == nil {
		s.documents.bodies = map[string]any{}
	}
	s.documents.bodies[strings.ToLower(path)] = body
}

// AddGraphRow adds a row to a table of Resource Graph.
func (s *Sim) AddGraphRow(table string, body map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.documents.rows == nil {
		s.documents.rows = map[string][]kqlRow{}
	}
	s.documents.rows[table] = append(s.documents.rows[table], graphRow(body, s.o.TenantID))
}

// AssignAs adds an assignment as it is; an empty ID gets one.
func (s *Sim) AssignAs(a RoleAssignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.ID == "" {
		a.ID = a.Scope + "/providers/Microsoft.Authorization/roleAssignments/" + s.guid()
	}
	s.assignments = append(s.assignments, a)
}

// RemoveIdentity deletes an identity; clusters that had it keep its id.
func (s *Sim) RemoveIdentity(id azureid.Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.identities, id.Key())
}

// graphDocuments adds the rows to the tables.
func (s *Sim) graphDocuments(tables map[string][]kqlRow) map[string][]kqlRow {
	for _, name := range []string{"policyresources"} { // known, and empty unless set
		tables[name] = nil
	}
	for name, rows := range s.documents.rows {
		tables[name] = append(tables[name], rows...)
	}
	return tables
}

// serveDocument answers a GET of a document or of a list that it knows, and
// reports whether it did.
func (s *Sim) serveDocument(w http.ResponseWriter, r *http.Request, c *Caller, path string) bool {
	lower := strings.ToLower(path)
	body, ok := s.documents.bodies[lower]
	if !ok {
		body, ok = s.defaultDocument(lower)
	}
	if !ok || r.Method != http.MethodGet {
		return false
	}
	if !c.reads(lower) {
		armForbidden(c.ObjectID, "*/read", lower).write(w)
		return true
	}
	writeJSON(w, http.StatusOK, body)
	return true
}

func (s *Sim) defaultDocument(path string) (any, bool) {
	empty := map[string]any{"value": []any{}}
	parent, last := cutLast(path)
	switch {
	case strings.HasSuffix(path, "/providers/microsoft.insights/diagnosticsettings"),
		strings.HasSuffix(path, "/providers/microsoft.authorization/locks"),
		strings.HasSuffix(path, "/providers/microsoft.insights/metrics"):
		return empty, true
	case strings.HasSuffix(path, "/providers/microsoft.security/pricings/keyvaults"):
		return map[string]any{"name": "KeyVaults", "properties": map[string]any{"pricingTier": "Free"}}, true
	case last == "databases":
		if c, ok := s.clusters[parent]; ok {
			return map[string]any{"value": []any{s.databaseBody(c)}}, true
		}
	case last == "keys" || last == "secrets":
		for _, v := range s.vaults {
			if v.ID.Key() == parent && !v.Deleted && last == "keys" {
				return map[string]any{"value": vaultKeys(v)}, true
			}
			if v.ID.Key() == parent && !v.Deleted {
				return empty, true
			}
		}
	}
	return nil, false
}

func cutLast(path string) (parent, last string) {
	at := strings.LastIndexByte(path, '/')
	if at < 0 {
		return "", path
	}
	return path[:at], path[at+1:]
}

// vaultKeys is the control plane's list of a vault's keys: names, no material.
func vaultKeys(v *Vault) []any {
	out := []any{}
	for _, name := range slices.Sorted(maps.Keys(v.Keys)) {
		if k := v.Keys[name]; k.Deleted == nil {
			out = append(out, map[string]any{"id": v.ID.String() + "/keys/" + k.Name, "name": k.Name, "type": "Microsoft.KeyVault/vaults/keys"})
		}
	}
	return out
}

// AddRole adds a custom role.
func (s *Sim) AddRole(d RoleDefinition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[d.ID] = d
}

package azuresim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
)

type object = map[string]any

const diagnostics = "/providers/microsoft.insights/diagnosticsettings"

// listed returns the items of a list document; none if nobody set it.
func (s *Sim) listed(path string) []object {
	raw, err := json.Marshal(s.documents.bodies[strings.ToLower(path)])
	var list struct {
		Value []object `json:"value"`
	}
	if err != nil || json.Unmarshal(raw, &list) != nil {
		return nil // unreachable: documents are maps of plain values
	}
	return list.Value
}

func (s *Sim) setList(path string, items []object) {
	if s.documents.bodies == nil {
		s.documents.bodies = map[string]any{}
	}
	if items == nil {
		items = []object{}
	}
	s.documents.bodies[strings.ToLower(path)] = object{"value": items}
}

func byName(items []object, name string) int {
	return slices.IndexFunc(items, func(o object) bool { return strings.EqualFold(fmt.Sprint(o["name"]), name) })
}

// serveSetting is Microsoft.Insights/diagnosticSettings of one name.
func (s *Sim) serveSetting(w http.ResponseWriter, r *http.Request, c *Caller, path string) {
	list, name := cutLast(path)
	parent := list[:len(list)-len(diagnostics)]
	vault, err := azureid.ParseResource(parent)
	v := s.vaultByID(vault)
	items := s.listed(list)
	at := byName(items, name)
	write := r.Method == http.MethodPut && (c.Repairs || c.Owns)
	switch {
	case err != nil || v == nil || v.Deleted:
		armNotFound("Microsoft.KeyVault/vaults", vault.Name(), vault.ResourceGroup()).write(w)
	case r.Method == http.MethodGet && at < 0:
		armNotFound("Microsoft.Insights/diagnosticSettings", name, vault.ResourceGroup()).write(w)
	case r.Method == http.MethodGet && c.reads(parent):
		writeJSON(w, http.StatusOK, items[at])
	case !write || c.hidden(parent):
		armForbidden(c.ObjectID, "Microsoft.Insights/diagnosticSettings/write", path).write(w)
	default:
		s.putSetting(w, r, c, list, name)
	}
}

// putSetting puts a setting in place as a whole. Five per resource; one destination
// takes a category from one setting only; no group beside a category [D: Azure
// Monitor, diagnostic settings].
func (s *Sim) putSetting(w http.ResponseWriter, r *http.Request, c *Caller, list, name string) {
	var body struct {
		Properties object `json:"properties"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		armBadRequest("InvalidRequestContent", "The request content was invalid: '%s'.", err).write(w)
		return
	}
	items := s.listed(list)
	at := byName(items, name)
	next := object{"id": list + "/" + name, "name": name, "type": "Microsoft.Insights/diagnosticSettings", "properties": body.Properties}
	if e := refuseSetting(items, name, body.Properties); e != nil {
		e.write(w)
		return
	}
	if at < 0 {
		items = append(items, next)
	} else {
		items[at] = next
	}
	s.setList(list, items)
	s.emitResource("ResourceWriteSuccess", "Microsoft.Insights/diagnosticSettings/write", list+"/"+name, c.ObjectID)
	writeJSON(w, http.StatusOK, next)
}

func refuseSetting(items []object, name string, props object) *armError {
	groups, categories := 0, 0
	for _, e := range logsOf(props) {
		if e["categoryGroup"] != nil && e["categoryGroup"] != "" {
			groups++
		} else {
			categories++
		}
	}
	sinks := 0
	for _, sink := range []string{"workspaceId", "eventHubAuthorizationRuleId", "storageAccountId", "marketplacePartnerId"} {
		if props[sink] == nil || props[sink] == "" {
			continue
		}
		sinks++
		for _, o := range items {
			other, _ := o["properties"].(object)
			if !strings.EqualFold(fmt.Sprint(o["name"]), name) && other[sink] == props[sink] {
				return &armError{Status: http.StatusConflict, Code: "Conflict", Message: fmt.Sprintf(
					"Data sink '%s' is already used in diagnostic setting '%s'. Data sinks can't be reused in different settings on the same category for the same resource.", props[sink], o["name"])}
			}
		}
	}
	switch {
	case groups > 0 && categories > 0:
		return armBadRequest("BadRequest", "Category groups and categories cannot be used in one diagnostic setting.")
	case sinks == 0 || groups+categories == 0:
		return armBadRequest("BadRequest", "At least one data sink and one category need to be specified.")
	case byName(items, name) < 0 && len(items) >= 5:
		return &armError{Status: http.StatusConflict, Code: "Conflict", Message: "The limit of 5 diagnostic settings was reached."}
	}
	return nil
}

func logsOf(props object) []object {
	list, _ := props["logs"].([]any)
	out := []object{}
	for _, e := range list {
		if m, ok := e.(object); ok {
			out = append(out, m)
		}
	}
	return out
}

// SetDiagnostics gives a vault its diagnostic settings, as a person would; by name,
// with their properties.
func (s *Sim) SetDiagnostics(host string, settings map[string]map[string]any) {
	s.act(func() {
		v := s.vaults[host]
		list := v.ID.String() + diagnostics
		var items []object
		for name, props := range settings {
			items = append(items, object{"id": list + "/" + name, "name": name, "properties": props})
		}
		verb, operation := "ResourceWriteSuccess", "write"
		if len(settings) < len(s.listed(list)) {
			verb, operation = "ResourceDeleteSuccess", "delete"
		}
		s.setList(list, items)
		s.emitResource(verb, "Microsoft.Insights/diagnosticSettings/"+operation, v.ID.String()+"/providers/Microsoft.Insights/diagnosticSettings/audit", person)
	})
}

// Diagnostics returns a vault's diagnostic settings as GET shows them.
func (s *Sim) Diagnostics(host string) []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listed(s.vaults[host].ID.String() + diagnostics)
}

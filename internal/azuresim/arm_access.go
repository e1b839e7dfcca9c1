package azuresim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
)

// everyone is the principal of a deny assignment that is for all but the
// excluded (Azure RBAC, deny assignments, [doc]).
const everyone = "00000000-0000-0000-0000-000000000000"

// serveAuthorization is Microsoft.Authorization below a scope: API 2022-04-01.
// scope is "" for the tenant's root.
func (s *Sim) serveAuthorization(w http.ResponseWriter, r *http.Request, c *Caller, scope, rest string) {
	kind, name, named := strings.Cut(rest, "/")
	kind = strings.ToLower(kind)
	switch {
	case kind == "roleassignments" && named && r.Method != http.MethodGet:
		s.changeAssignment(w, r, c, scope, name)
	case r.Method != http.MethodGet:
		(&armError{Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed", Message: r.Method + " is not supported here"}).write(w)
	case kind == "permissions":
		writeJSON(w, http.StatusOK, map[string]any{"value": c.permissions(scope)})
	case !c.reads(scope):
		armForbidden(c.ObjectID, "Microsoft.Authorization/"+kindName(kind)+"/read", scope).write(w)
	case kind == "roledefinitions":
		s.getDefinitions(w, r, name, named)
	case named:
		s.getAuthorization(w, kind, scope, name)
	case kind == "roleassignments":
		s.listAssignments(w, scope, r.URL.Query().Get("$filter"))
	case kind == "denyassignments":
		s.listDenies(w, scope, r.URL.Query().Get("$filter"))
	default:
		armBadRequest("InvalidResourceType", "The resource type '%s' could not be found in the namespace 'Microsoft.Authorization'.", kind).write(w)
	}
}

func kindName(kind string) string {
	switch kind {
	case "roleassignments":
		return "roleAssignments"
	case "roledefinitions":
		return "roleDefinitions"
	}
	return "denyAssignments"
}

// permissions are the caller's own at the scope (Permissions - List). That the
// list works at a subscription's scope is [inferred] from the two scopes that
// the reference shows.
func (c *Caller) permissions(scope string) []any {
	var actions []string
	switch {
	case c.hidden(scope):
	case c.Owns:
		actions = []string{"*"}
	default:
		if c.Reads {
			actions = append(actions, "*/read")
		}
		if c.Writes {
			actions = append(actions, "Microsoft.Cache/redisEnterprise/write", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action")
		}
	}
	if actions == nil {
		return []any{}
	}
	return []any{map[string]any{"actions": actions, "notActions": []any{}, "dataActions": []any{}, "notDataActions": []any{}}}
}

// filterOf reads the three filters that the reference documents, also joined
// by "and". Anything else is a 400, as a wrong filter is at Azure.
func filterOf(text string) (atScope bool, principal string, e *armError) {
	if text == "" {
		return false, "", nil
	}
	for _, part := range strings.Split(text, " and ") {
		part = strings.TrimSpace(part)
		lower := strings.ToLower(part)
		switch {
		case lower == "atscope()":
			atScope = true
		case strings.HasPrefix(lower, "principalid eq '") && strings.HasSuffix(lower, "'"):
			principal = part[len("principalid eq '") : len(part)-1]
		case strings.HasPrefix(lower, "assignedto('") && strings.HasSuffix(lower, "')"):
			principal = part[len("assignedto('") : len(part)-2]
		default:
			return false, "", armBadRequest("BadRequestFormat", "The filter '%s' is not supported. Supported filters are either 'atScope()', 'principalId eq' or 'assignedTo()'.", text)
		}
	}
	return atScope, principal, nil
}

// inView reports whether something assigned at a scope is listed from another:
// what is at or above always, what is below unless atScope() ([doc]: atScope()
// leaves subscopes out; principalId lists at, above and below).
func inView(assignedAt, from string, atScope bool) bool {
	from, assignedAt = strings.ToLower(from), strings.ToLower(strings.TrimSuffix(assignedAt, "/"))
	return covers(assignedAt, from) || !atScope && covers(from, assignedAt)
}

func (s *Sim) listAssignments(w http.ResponseWriter, scope, filter string) {
	// assignedTo also lists what groups of the principal hold ([doc]); the world
	// has no groups, so it is the same as principalId here.
	atScope, principal, e := filterOf(filter)
	if e != nil {
		e.write(w)
		return
	}
	out := []any{}
	for _, a := range s.assignments {
		if inView(a.Scope, scope, atScope) && (principal == "" || strings.EqualFold(a.PrincipalID, principal)) {
			out = append(out, assignmentBody(a))
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": out})
}

func (s *Sim) listDenies(w http.ResponseWriter, scope, filter string) {
	atScope, _, e := filterOf(filter)
	if e != nil {
		e.write(w)
		return
	}
	out := []any{}
	for _, d := range s.denies {
		if inView(d.Scope, scope, atScope) {
			out = append(out, denyBody(d))
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": out})
}

func (s *Sim) getAuthorization(w http.ResponseWriter, kind, scope, name string) {
	id := strings.ToLower(scope + "/providers/Microsoft.Authorization/" + kind + "/" + name)
	for _, a := range s.assignments {
		if strings.ToLower(a.ID) == id {
			writeJSON(w, http.StatusOK, assignmentBody(a))
			return
		}
	}
	for _, d := range s.denies {
		if strings.ToLower(d.ID) == id {
			writeJSON(w, http.StatusOK, denyBody(d))
			return
		}
	}
	(&armError{Status: http.StatusNotFound, Code: "RoleAssignmentNotFound", Message: "The role assignment '" + name + "' is not found."}).write(w)
}

func (s *Sim) getDefinitions(w http.ResponseWriter, r *http.Request, name string, named bool) {
	if named {
		d, ok := s.roles[strings.ToLower(name)]
		if !ok {
			(&armError{Status: http.StatusNotFound, Code: "RoleDefinitionDoesNotExist", Message: "The specified role definition with ID '" + name + "' does not exist."}).write(w)
			return
		}
		writeJSON(w, http.StatusOK, definitionBody(d))
		return
	}
	var want string
	if f := r.URL.Query().Get("$filter"); strings.HasPrefix(strings.ToLower(f), "rolename eq '") {
		want = strings.TrimSuffix(f[len("rolename eq '"):], "'")
	}
	out := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.roles)) {
		if d := s.roles[id]; want == "" || d.Name == want {
			out = append(out, definitionBody(d))
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": out})
}

// changeAssignment is PUT and DELETE; to remove one is for owners alone.
func (s *Sim) changeAssignment(w http.ResponseWriter, r *http.Request, c *Caller, scope, name string) {
	id := scope + "/providers/Microsoft.Authorization/roleAssignments/" + name
	at := slices.IndexFunc(s.assignments, func(a RoleAssignment) bool { return strings.EqualFold(a.ID, id) })
	switch {
	case !c.Owns && (!c.Repairs || r.Method != http.MethodPut):
		armForbidden(c.ObjectID, "Microsoft.Authorization/roleAssignments/write", id).write(w)
	case r.Method == http.MethodDelete && at < 0:
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		gone := s.assignments[at]
		s.assignments = slices.Delete(slices.Clone(s.assignments), at, at+1)
		writeJSON(w, http.StatusOK, assignmentBody(gone))
	case r.Method == http.MethodPut:
		s.putAssignment(w, r, scope, id)
	default:
		(&armError{Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed", Message: r.Method + " is not supported here"}).write(w)
	}
}

func (s *Sim) putAssignment(w http.ResponseWriter, r *http.Request, scope, id string) {
	var body struct {
		Properties struct {
			RoleID      string `json:"roleDefinitionId"`
			PrincipalID string `json:"principalId"`
			Type        string `json:"principalType"`
			Condition   string `json:"condition"`
		} `json:"properties"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		armBadRequest("InvalidRequestContent", "The request content was invalid: '%s'.", err).write(w)
		return
	}
	p := body.Properties
	role := strings.ToLower(p.RoleID[strings.LastIndexByte(p.RoleID, '/')+1:])
	if _, ok := s.roles[role]; !ok || p.PrincipalID == "" {
		armBadRequest("RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.", role).write(w)
		return
	}
	for _, a := range s.assignments { // one role, principal and scope is one assignment, whatever its name ([doc])
		if a.RoleID == role && strings.EqualFold(a.PrincipalID, p.PrincipalID) && strings.EqualFold(a.Scope, scope) {
			(&armError{Status: http.StatusConflict, Code: "RoleAssignmentExists", Message: "The role assignment already exists."}).write(w)
			return
		}
	}
	a := RoleAssignment{ID: id, Scope: scope, RoleID: role, PrincipalID: p.PrincipalID, Type: p.Type, Condition: p.Condition, CreatedOn: s.clock.Now()}
	s.assignments = append(s.assignments, a)
	writeJSON(w, http.StatusCreated, assignmentBody(a))
}

// Deny adds a deny assignment; an empty ID gets one.
func (s *Sim) Deny(d DenyAssignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.ID == "" {
		d.ID = d.Scope + "/providers/Microsoft.Authorization/denyAssignments/" + s.guid()
	}
	s.denies = append(s.denies, d)
}

func assignmentBody(a RoleAssignment) map[string]any {
	scope, err := azureid.ParseResource(a.Scope)
	role := "/providers/Microsoft.Authorization/roleDefinitions/" + a.RoleID
	if err == nil && scope.Subscription() != "" { // shown below the subscription of the assignment ([sample])
		role = "/subscriptions/" + scope.Subscription() + role
	}
	var condition, version any
	if a.Condition != "" {
		condition, version = a.Condition, "2.0"
	}
	return map[string]any{"id": a.ID, "name": a.ID[strings.LastIndexByte(a.ID, '/')+1:], "type": "Microsoft.Authorization/roleAssignments", "properties": map[string]any{
		"roleDefinitionId": role, "principalId": a.PrincipalID, "principalType": a.Type, "scope": a.Scope,
		"condition": condition, "conditionVersion": version, "description": nil, "delegatedManagedIdentityResourceId": nil,
		"createdOn": armTime(a.CreatedOn), "updatedOn": armTime(a.CreatedOn),
	}}
}

func denyBody(d DenyAssignment) map[string]any {
	excluded := []any{}
	for _, e := range d.Exclude {
		excluded = append(excluded, map[string]any{"id": e, "type": "ServicePrincipal"})
	}
	return map[string]any{"id": d.ID, "name": d.ID[strings.LastIndexByte(d.ID, '/')+1:], "type": "Microsoft.Authorization/denyAssignments", "properties": map[string]any{
		"denyAssignmentName": "deny", "description": nil, "scope": d.Scope, "doNotApplyToChildScopes": false, "isSystemProtected": true,
		"permissions":       permissionBlock(d.DataActions),
		"principals":        []any{map[string]any{"id": everyone, "type": "SystemDefined"}},
		"excludePrincipals": excluded,
	}}
}

func definitionBody(d RoleDefinition) map[string]any {
	return map[string]any{"id": "/providers/Microsoft.Authorization/roleDefinitions/" + d.ID, "name": d.ID, "type": "Microsoft.Authorization/roleDefinitions",
		"properties": map[string]any{"roleName": d.Name, "type": "BuiltInRole", "description": "", "assignableScopes": []string{"/"},
			"permissions": []any{map[string]any{"actions": list(d.Actions), "notActions": list(d.NotActions), "dataActions": list(d.DataActions), "notDataActions": list(d.NotData)}}}}
}

// list is never null, as no list of the service is.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func permissionBlock(data []string) []any {
	return []any{map[string]any{"actions": []string{}, "notActions": []string{}, "dataActions": data, "notDataActions": []string{}}}
}

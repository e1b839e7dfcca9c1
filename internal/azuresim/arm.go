package azuresim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

// serveARM is the control plane. Reads need the caller's Reads, writes its
// Writes: ARM's own RBAC in the two grades that this product's two identities
// have.
func (s *Sim) serveARM(w http.ResponseWriter, r *http.Request, c *Caller) {
	p := strings.TrimSuffix(strings.ToLower(r.URL.Path), "/")
	scope, rest, authz := strings.Cut(p, "/providers/microsoft.authorization/")
	switch {
	case r.Method == http.MethodGet && !c.Reads, r.Method != http.MethodGet && !c.Writes && !strings.HasSuffix(p, "/resources"):
		armForbidden(c.Name, "read or write", p).write(w)
	case p == "/providers/microsoft.resourcegraph/resources":
		s.serveGraph(w, r)
	case authz:
		s.serveAuthorization(w, r, c, scope, rest)
	case strings.Contains(p, "/operationsstatus/"):
		s.serveOperation(w, p)
	case strings.Count(p, "/") == 2:
		writeJSON(w, http.StatusOK, map[string]any{"id": p, "subscriptionId": p[len("/subscriptions/"):], "state": "Enabled"})
	default:
		s.serveResource(w, r, p)
	}
}

func (s *Sim) serveResource(w http.ResponseWriter, r *http.Request, p string) {
	id, err := azureid.ParseResource(r.URL.Path)
	if err != nil {
		armBadRequest("InvalidResourceId", "%v", err).write(w)
		return
	}
	cluster, isCluster := s.clusters[p]
	switch {
	case r.Method == http.MethodPatch && isCluster:
		s.patchCluster(w, r, cluster)
	case r.Method != http.MethodGet:
		armBadRequest("MethodNotSimulated", "%s %s", r.Method, p).write(w)
	case isCluster:
		writeJSON(w, http.StatusOK, s.clusterBody(cluster))
	case id.Type() == azureid.TypeVault && s.vaultByID(p) != nil:
		writeJSON(w, http.StatusOK, vaultBody(s.vaultByID(p)))
	case id.Type() == azureid.TypeIdentity && s.identities[p].ID.Key() == p:
		i := s.identities[p]
		writeJSON(w, http.StatusOK, map[string]any{"id": i.ID, "name": i.ID.Name(), "type": "Microsoft.ManagedIdentity/userAssignedIdentities", "location": i.Location,
			"properties": map[string]any{"tenantId": i.TenantID, "principalId": i.PrincipalID, "clientId": i.ClientID}})
	default:
		armNotFound(id.Type(), id.Name(), id.ResourceGroup()).write(w)
	}
}

func (s *Sim) vaultByID(id string) *Vault {
	for _, v := range s.vaults {
		if v.ID.Key() == id && !v.Deleted {
			return v
		}
	}
	return nil
}

// clusterBody has the shape of API 2025-07-01 [D].
func (s *Sim) clusterBody(c *Cluster) map[string]any {
	ids := map[string]any{}
	for _, i := range c.Identities {
		known := s.identities[i.Key()]
		ids[i.String()] = map[string]any{"principalId": known.PrincipalID, "clientId": known.ClientID}
	}
	props := map[string]any{"provisioningState": c.ProvisioningState, "resourceState": c.ResourceState, "publicNetworkAccess": "Disabled"}
	if c.CMK != nil {
		props["encryption"] = map[string]any{"customerManagedKeyEncryption": map[string]any{
			"keyEncryptionKeyIdentity": map[string]any{"identityType": c.CMK.IdentityType, "userAssignedIdentityResourceId": c.CMK.IdentityID.String()},
			"keyEncryptionKeyUrl":      c.CMK.KeyURL,
		}}
	}
	identity := map[string]any{"type": "None"}
	if len(ids) > 0 {
		identity = map[string]any{"type": "UserAssigned", "userAssignedIdentities": ids}
	}
	return map[string]any{"id": c.ID.String(), "name": c.ID.Name(), "type": "Microsoft.Cache/redisEnterprise", "kind": c.Kind,
		"location": c.Location, "tags": c.Tags, "identity": identity, "sku": map[string]any{"name": c.SKU}, "properties": props}
}

func vaultBody(v *Vault) map[string]any {
	policies := []any{}
	for _, p := range v.Policies {
		policies = append(policies, map[string]any{"tenantId": p.TenantID, "objectId": p.ObjectID, "permissions": map[string]any{"keys": p.Keys}})
	}
	props := map[string]any{"tenantId": v.TenantID, "sku": map[string]any{"family": "A", "name": v.SKU}, "vaultUri": "https://" + v.Host + "/",
		"provisioningState": "Succeeded", "enableSoftDelete": v.SoftDelete, "softDeleteRetentionInDays": v.RetentionDays,
		"enableRbacAuthorization": v.RBAC, "accessPolicies": policies}
	if v.PurgeProtection {
		props["enablePurgeProtection"] = true // absent where it is off [D]
	}
	if v.PublicNetworkAccess != "" {
		props["publicNetworkAccess"] = v.PublicNetworkAccess
	}
	if v.DefaultAction != "" {
		props["networkAcls"] = map[string]any{"bypass": v.Bypass, "defaultAction": v.DefaultAction, "ipRules": []any{}, "virtualNetworkRules": []any{}}
	}
	return map[string]any{"id": v.ID.String(), "name": v.ID.Name(), "type": "Microsoft.KeyVault/vaults", "location": v.Location, "tags": v.Tags, "properties": props}
}

type patchBody struct {
	Properties struct {
		Encryption *struct {
			CMK *struct {
				Identity struct {
					Type string `json:"identityType"`
					ID   string `json:"userAssignedIdentityResourceId"`
				} `json:"keyEncryptionKeyIdentity"`
				URL string `json:"keyEncryptionKeyUrl"`
			} `json:"customerManagedKeyEncryption"`
		} `json:"encryption"`
	} `json:"properties"`
}

// patchCluster is PATCH of redisEnterprise: validated, then a long operation.
func (s *Sim) patchCluster(w http.ResponseWriter, r *http.Request, c *Cluster) {
	var body patchBody
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		armBadRequest("InvalidRequestContent", "%v", err).write(w)
		return
	}
	if c.ResourceState != "Running" {
		(&armError{Status: http.StatusConflict, Code: "Conflict", Message: "The resource is busy processing a previous update request."}).write(w) // [I]
		return
	}
	next, refusal := s.wantedCMK(c, body)
	if refusal != nil {
		refusal.write(w)
		return
	}
	now := s.clock.Now()
	op := &Operation{ID: s.guid(), Started: now, EndsAt: now.Add(s.o.PatchTakes), RunsAt: now.Add(s.o.PatchTakes + s.o.StateLag), Apply: next}
	if next != nil && !s.canUnwrap(c, next) {
		op.Failure = "the key cannot be used by the cluster's identity"
		if s.o.SyncRefuse {
			armBadRequest("KeyVaultAccessDenied", "%s", op.Failure).write(w)
			return
		}
	}
	c.Operation, c.ProvisioningState, c.ResourceState = op, "Updating", "Updating"
	base := "https://management.azure.com/subscriptions/" + c.ID.Subscription() + "/providers/Microsoft.Cache/locations/" + normal(c.Location)
	w.Header().Set("Azure-AsyncOperation", base+"/operationsStatus/"+op.ID+"?api-version=2025-07-01")
	w.Header().Set("Location", base+"/operationResults/"+op.ID+"?api-version=2025-07-01")
	w.Header().Set("Retry-After", "15")
	writeJSON(w, http.StatusAccepted, s.clusterBody(c))
}

// wantedCMK checks what the service requires of a key: versioned URL, RSA, the
// cluster's region, an identity that the cluster has [D].
func (s *Sim) wantedCMK(c *Cluster, body patchBody) (*CMK, *armError) {
	if body.Properties.Encryption == nil || body.Properties.Encryption.CMK == nil {
		return nil, nil
	}
	in := body.Properties.Encryption.CMK
	k, err := azureid.ParseKey(in.URL, azureid.Public())
	v, _, ver := s.find(k)
	id, idErr := azureid.ParseResource(in.Identity.ID)
	switch {
	case err != nil || k.Version == "":
		return nil, armBadRequest("InvalidKeyUrl", "keyEncryptionKeyUrl must be versioned: %q", in.URL)
	case idErr != nil || !slices.ContainsFunc(c.Identities, id.Equal):
		return nil, armBadRequest("InvalidIdentity", "the identity is not assigned to the cluster")
	case v != nil && normal(v.Location) != normal(c.Location):
		return nil, armBadRequest("InvalidRegion", "the vault must be in the region of the cache")
	case ver != nil && !strings.HasPrefix(ver.Type, "RSA"):
		return nil, armBadRequest("InvalidKeyType", "only RSA keys are supported")
	}
	return &CMK{IdentityType: in.Identity.Type, IdentityID: id, KeyURL: in.URL}, nil
}

func normal(location string) string { return strings.ToLower(strings.ReplaceAll(location, " ", "")) }

func (s *Sim) serveOperation(w http.ResponseWriter, p string) {
	id := p[strings.LastIndexByte(p, '/')+1:]
	for _, c := range s.clusters {
		if c.Operation == nil || c.Operation.ID != id {
			continue
		}
		out := map[string]any{"id": p, "name": id, "startTime": c.Operation.Started.Format(time.RFC3339), "status": "Updating"}
		if !s.clock.Now().Before(c.Operation.EndsAt) {
			out["status"] = "Succeeded"
			if c.Operation.Failure != "" {
				out["status"], out["error"] = "Failed", map[string]any{"code": "UpdateFailed", "message": c.Operation.Failure}
			}
		}
		writeJSON(w, http.StatusOK, out)
		return
	}
	armNotFound("operationsStatus", id, "").write(w)
}

func (s *Sim) serveAuthorization(w http.ResponseWriter, r *http.Request, c *Caller, scope, rest string) {
	kind, name, _ := strings.Cut(rest, "/")
	list := []any{}
	switch kind {
	case "permissions":
		actions := []string{"*/read"}
		if c.Writes {
			actions = append(actions, "Microsoft.Cache/redisEnterprise/write")
		}
		list = append(list, map[string]any{"actions": actions, "notActions": []string{}})
	case "roleassignments":
		// assignedTo: at, above and below, groups included [D].
		who := between(r.URL.Query().Get("$filter"), "assignedTo('", "')")
		for _, a := range s.assignments {
			if strings.EqualFold(a.PrincipalID, who) && covers(a.Scope, scope) {
				list = append(list, assignmentBody(a))
			}
		}
	case "denyassignments":
		for _, d := range s.denies {
			if covers(d.Scope, scope) {
				list = append(list, denyBody(d))
			}
		}
	case "roledefinitions":
		role, ok := s.roles[name]
		if !ok {
			armNotFound("roleDefinitions", name, "").write(w)
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"id": "/providers/Microsoft.Authorization/roleDefinitions/" + role.ID, "name": role.ID,
			"type": "Microsoft.Authorization/roleDefinitions", "properties": map[string]any{"roleName": role.Name, "type": "BuiltInRole",
				"permissions": []any{map[string]any{"actions": []string{}, "notActions": []string{}, "dataActions": role.DataActions, "notDataActions": role.NotData}}}})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": list})
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func assignmentBody(a RoleAssignment) map[string]any {
	return map[string]any{"id": a.ID, "name": a.ID[strings.LastIndexByte(a.ID, '/')+1:], "type": "Microsoft.Authorization/roleAssignments",
		"properties": map[string]any{"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + a.RoleID, "principalId": a.PrincipalID,
			"principalType": a.Type, "scope": a.Scope, "condition": a.Condition, "createdOn": a.CreatedOn.Format(time.RFC3339), "updatedOn": a.CreatedOn.Format(time.RFC3339)}}
}

func denyBody(d DenyAssignment) map[string]any {
	excluded := []any{}
	for _, e := range d.Exclude {
		excluded = append(excluded, map[string]any{"id": e, "type": "ServicePrincipal"})
	}
	return map[string]any{"id": d.ID, "type": "Microsoft.Authorization/denyAssignments", "properties": map[string]any{"scope": d.Scope, "doNotApplyToChildScopes": false,
		"permissions": []any{map[string]any{"actions": []string{}, "notActions": []string{}, "dataActions": d.DataActions, "notDataActions": []string{}}},
		"principals":  []any{map[string]any{"id": "00000000-0000-0000-0000-000000000000", "type": "SystemDefined"}}, "excludePrincipals": excluded}}
}

// serveGraph answers the two queries of this product: the clusters with their
// key URLs, and the vault of a host.
func (s *Sim) serveGraph(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Subscriptions []string `json:"subscriptions"`
		Query         string   `json:"query"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		armBadRequest("BadRequest", "%v", err).write(w)
		return
	}
	rows := []map[string]any{}
	in := func(id azureid.Resource) bool {
		return slices.ContainsFunc(q.Subscriptions, func(x string) bool { return strings.EqualFold(x, id.Subscription()) })
	}
	switch {
	case strings.Contains(q.Query, "'"+azureid.TypeRedisEnterprise+"'"):
		for _, c := range s.clusters {
			if in(c.ID) {
				url := ""
				if c.CMK != nil {
					url = c.CMK.KeyURL
				}
				rows = append(rows, map[string]any{"id": c.ID.String(), "kekUrl": url})
			}
		}
	case strings.Contains(q.Query, "'"+azureid.TypeVault+"'"):
		host := between(q.Query, "vaultHost == '", "'")
		for _, v := range s.vaults {
			if in(v.ID) && !v.Deleted && (host == "" || v.Host == host) {
				rows = append(rows, map[string]any{"id": v.ID.String(), "vaultHost": v.Host})
			}
		}
	default:
		armBadRequest("BadRequest", "query is not simulated: %s", q.Query).write(w)
		return
	}
	slices.SortFunc(rows, func(a, b map[string]any) int { return strings.Compare(a["id"].(string), b["id"].(string)) })
	writeJSON(w, http.StatusOK, map[string]any{"totalRecords": len(rows), "count": len(rows), "resultTruncated": "false", "data": rows})
}

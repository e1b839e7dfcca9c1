package azuresim

import (
	"fmt"
	"net/http"
	"strings"

	"cmkguard/internal/azureid"
)

const (
	armRoot       = "https://management.azure.com"
	typeDatabase  = azureid.TypeRedisEnterprise + "/databases"
	typeOperation = "microsoft.cache/locations/operationsstatus"
	typeResult    = "microsoft.cache/locations/operationresults"
	typeDeleted   = "microsoft.keyvault/locations/deletedvaults"
	typeSub       = "microsoft.resources/subscriptions"
)

// serveARM is Azure Resource Manager as far as this product calls it. The
// world is locked and settled; c is not nil. Rights are judged before
// existence, so that somebody without rights cannot tell a missing resource
// from a hidden one ([sample]: 403 AuthorizationFailed names "or the scope is
// invalid").
func (s *Sim) serveARM(w http.ResponseWriter, r *http.Request, c *Caller) {
	s.rememberGraph()
	path := "/" + strings.Trim(r.URL.Path, "/")
	lower := strings.ToLower(path)
	w.Header().Set("x-ms-request-id", s.guid())
	if r.URL.Query().Get("api-version") == "" {
		armBadRequest("MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.").write(w)
		return
	}
	if topic, ok := strings.CutSuffix(lower, gridListing); ok && s.topics[topic] != nil {
		s.settleSubscriptions(topic, s.listed(lower))
	}
	if s.serveDocument(w, r, c, path) {
		return
	}
	const authorization = "/providers/microsoft.authorization/"
	switch i := strings.LastIndex(lower, authorization); {
	case lower == "/providers/microsoft.resourcegraph/resources":
		s.serveGraph(w, r, c)
	case i >= 0:
		s.serveAuthorization(w, r, c, path[:i], path[i+len(authorization):])
	case strings.Contains(lower, diagnostics+"/"):
		s.serveSetting(w, r, c, path)
	case strings.Contains(lower, "/providers/"+typeTopic+"/"):
		s.serveTopic(w, r, c, path)
	case lower == "/subscriptions":
		s.listSubscriptions(w, c)
	default:
		s.serveResource(w, r, c, path)
	}
}

func (s *Sim) serveResource(w http.ResponseWriter, r *http.Request, c *Caller, path string) {
	id, err := azureid.ParseResource(path)
	if err != nil {
		s.listResources(w, r, c, path)
		return
	}
	if e := s.checkVersion(id.Type(), r.URL.Query().Get("api-version")); e != nil {
		e.write(w)
		return
	}
	patch := r.Method == http.MethodPatch && id.Type() == azureid.TypeRedisEnterprise
	switch {
	case patch && !c.writes(id.String()):
		armForbidden(c.ObjectID, "Microsoft.Cache/redisEnterprise/write", id.String()).write(w)
	case patch:
		s.patchCluster(w, r, c, id)
	case id.Type() == azureid.TypeVault && (r.Method == http.MethodPatch || r.Method == http.MethodPut):
		s.writeVault(w, r, c, id)
	case id.Type() == azureid.TypeVault+"/accesspolicies" && r.Method == http.MethodPut:
		s.addAccess(w, r, c, id)
	case r.Method != http.MethodGet:
		(&armError{Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed", Message: r.Method + " is not supported here"}).write(w)
	case !c.reads(id.String()):
		armForbidden(c.ObjectID, readActionOf(id.Type()), id.String()).write(w)
	case id.Type() == typeOperation || id.Type() == typeResult:
		s.getOperation(w, id)
	default:
		body, e := s.body(id)
		if e != nil {
			e.write(w)
			return
		}
		writeJSON(w, http.StatusOK, body)
	}
}

// body returns a resource as its provider shows it.
func (s *Sim) body(id azureid.Resource) (map[string]any, *armError) {
	switch id.Type() {
	case typeSub:
		if s.hasSubscription(id.Subscription()) {
			return subscriptionBody(id.Subscription(), s.o.TenantID), nil
		}
		return nil, &armError{Status: http.StatusNotFound, Code: "SubscriptionNotFound",
			Message: fmt.Sprintf("The subscription '%s' could not be found.", id.Subscription())}
	case azureid.TypeRedisEnterprise:
		if c, ok := s.clusters[id.Key()]; ok {
			return s.clusterBody(c), nil
		}
	case typeDatabase:
		parent, _, _ := strings.Cut(id.Key(), "/databases/")
		if c, ok := s.clusters[parent]; ok && strings.EqualFold(id.Name(), "default") {
			return s.databaseBody(c), nil
		}
	case azureid.TypeVault:
		if v := s.vaultByID(id); v != nil && !v.Deleted {
			return vaultBody(v), nil
		}
	case azureid.TypeIdentity:
		if i, ok := s.identities[id.Key()]; ok {
			return identityBody(i), nil
		}
	case typeDeleted:
		if v := s.deletedVault(id); v != nil {
			return deletedVaultBody(v), nil
		}
		// The same answer as for a vault that never was ([doc]).
		return nil, &armError{Status: http.StatusNotFound, Code: "DeletedVaultNotFound",
			Message: fmt.Sprintf("The specified deleted vault '%s' does not exist.", id.Name())}
	}
	return nil, armNotFound(id.Type(), id.Name(), id.ResourceGroup())
}

// checkVersion refuses an API version that the provider never had, and Key
// Vault's old ones from the day on which they retire: 2027-02-27 for all
// before 2026-02-01 (Key Vault "What's new", [doc]).
func (s *Sim) checkVersion(typ, version string) *armError {
	known := map[string]string{
		azureid.TypeRedisEnterprise: "2023-11-01 2024-02-01 2024-10-01 2025-04-01 2025-07-01 2026-09-01",
		azureid.TypeVault:           "2021-10-01 2022-07-01 2023-07-01 2024-11-01 2026-02-01",
		azureid.TypeIdentity:        "2018-11-30 2023-01-31 2024-11-30",
	}
	known[typeDatabase], known[typeDeleted] = known[azureid.TypeRedisEnterprise], known[azureid.TypeVault]
	list, judged := known[typ]
	retired := list == known[azureid.TypeVault] && version < "2026-02-01" && s.clock.Now().Format("2006-01-02") >= "2027-02-27"
	if !judged || strings.Contains(list, version) && !retired {
		return nil
	}
	return armBadRequest("NoRegisteredProviderFound",
		"No registered resource provider found for API version '%s' for type '%s'. The supported api-versions are '%s'.", version, typ, strings.ReplaceAll(list, " ", ", "))
}

// reads reports whether the caller may read a scope on the control plane.
func (c *Caller) reads(scope string) bool { return (c.Reads || c.Owns) && !c.hidden(scope) }

func (c *Caller) writes(scope string) bool { return (c.Writes || c.Owns) && !c.hidden(scope) }

func (c *Caller) hidden(scope string) bool {
	for _, h := range c.Hidden {
		if covers(h, strings.ToLower(scope)) {
			return true
		}
	}
	return false
}

// readActionOf names the action that a GET of the type needs, in the
// provider's own letters, as error messages carry it.
func readActionOf(typ string) string {
	switch typ {
	case azureid.TypeRedisEnterprise:
		return "Microsoft.Cache/redisEnterprise/read"
	case typeDatabase:
		return "Microsoft.Cache/redisEnterprise/databases/read"
	case azureid.TypeVault:
		return "Microsoft.KeyVault/vaults/read"
	case azureid.TypeIdentity:
		return "Microsoft.ManagedIdentity/userAssignedIdentities/read"
	case typeDeleted:
		return "Microsoft.KeyVault/locations/deletedVaults/read"
	case typeOperation, typeResult:
		return "Microsoft.Cache/locations/operationsStatus/read"
	}
	return "Microsoft.Resources/subscriptions/read"
}

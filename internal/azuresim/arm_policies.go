package azuresim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
)

// addAccess is Vaults - Update Access Policy with the operation add; replace and
// remove take access away, which this product must never do, and are not simulated.
func (s *Sim) addAccess(w http.ResponseWriter, r *http.Request, c *Caller, id azureid.Resource) {
	parent, _, _ := strings.Cut(id.String(), "/accessPolicies/")
	vault, err := azureid.ParseResource(parent)
	v := s.vaultByID(vault)
	var b addition
	switch {
	case !c.Owns && !c.Repairs || c.hidden(parent):
		armForbidden(c.ObjectID, "Microsoft.KeyVault/vaults/accessPolicies/write", id.String()).write(w)
		return
	case err != nil || v == nil || v.Deleted:
		armNotFound("Microsoft.KeyVault/vaults", vault.Name(), vault.ResourceGroup()).write(w)
		return
	case !strings.EqualFold(id.Name(), "add"):
		armBadRequest("BadRequest", "only the operation add is simulated").write(w)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		armBadRequest("InvalidRequestContent", "The request content was invalid: '%s'.", err).write(w)
		return
	}
	for _, e := range b.Properties.AccessPolicies {
		if e.TenantID != v.TenantID {
			armBadRequest("BadRequest", "The access policy's tenant is not the vault's.").write(w)
			return
		}
		s.mergePolicy(v, AccessPolicy{TenantID: e.TenantID, ObjectID: e.ObjectID, Keys: e.Permissions.Keys, Secrets: e.Permissions.Secrets})
	}
	s.emitResource("ResourceWriteSuccess", "Microsoft.KeyVault/vaults/accessPolicies/write", id.String(), c.ObjectID)
	s.emitEvent(v.ID.String(), v.ID.Name(), "Microsoft.KeyVault.VaultAccessPolicyChanged", map[string]any{
		"Id": "https://" + v.Host + "/", "VaultName": v.ID.Name(), "ObjectType": "Vault", "ObjectName": v.ID.Name(), "Version": "", "NBF": nil, "EXP": nil})
	writeJSON(w, http.StatusOK, map[string]any{"id": id.String(), "properties": vaultBody(v)["properties"]})
}

// addition is what the operation takes.
type addition struct {
	Properties struct {
		AccessPolicies []struct {
			TenantID    string `json:"tenantId"`
			ObjectID    string `json:"objectId"`
			Permissions struct {
				Keys    []string `json:"keys"`
				Secrets []string `json:"secrets"`
			} `json:"permissions"`
		} `json:"accessPolicies"`
	} `json:"properties"`
}

// mergePolicy: whether what is added is joined to the object's entry or takes its
// place is documented nowhere ([?]).
func (s *Sim) mergePolicy(v *Vault, add AccessPolicy) {
	at := slices.IndexFunc(v.Policies, func(p AccessPolicy) bool { return strings.EqualFold(p.ObjectID, add.ObjectID) })
	switch {
	case at < 0:
		v.Policies = append(v.Policies, add)
	case s.o.AddReplaces:
		v.Policies[at] = add
	default:
		p := &v.Policies[at]
		p.Keys, p.Secrets = union(p.Keys, add.Keys), union(p.Secrets, add.Secrets)
	}
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, s) }) {
			out = append(out, s)
		}
	}
	return out
}

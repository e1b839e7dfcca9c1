package azuresim

import (
	"encoding/json"
	"net/http"
	"strings"

	"cmkguard/internal/azureid"
)

// vaultWrite is what PATCH and PUT of a vault take, as far as it is simulated.
type vaultWrite struct {
	Location   string `json:"location"`
	Properties struct {
		CreateMode      string `json:"createMode"`
		TenantID        string `json:"tenantId"`
		PurgeProtection *bool  `json:"enablePurgeProtection"`
		Network         *struct {
			Bypass        string `json:"bypass"`
			DefaultAction string `json:"defaultAction"`
			IPRules       []struct{ Value string }
		} `json:"networkAcls"`
	} `json:"properties"`
}

// writeVault is Vaults - Update, and Create Or Update with createMode recover,
// which takes everything else from before [D: Key Vault REST reference]. A
// recovered vault has lost the role assignments at and below it and its event
// subscriptions [D: soft-delete overview].
func (s *Sim) writeVault(w http.ResponseWriter, r *http.Request, c *Caller, id azureid.Resource) {
	if !c.Owns && !c.Repairs || c.hidden(id.String()) {
		armForbidden(c.ObjectID, "Microsoft.KeyVault/vaults/write", id.String()).write(w)
		return
	}
	var b vaultWrite
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		armBadRequest("InvalidRequestContent", "The request content was invalid: '%s'.", err).write(w)
		return
	}
	v := s.vaultByID(id)
	p := b.Properties
	switch {
	case v == nil, v.Deleted && r.Method == http.MethodPatch:
		armNotFound("Microsoft.KeyVault/vaults", id.Name(), id.ResourceGroup()).write(w)
		return
	case r.Method == http.MethodPut && p.CreateMode != "recover":
		armBadRequest("BadRequest", "only createMode recover is simulated").write(w)
		return
	case p.PurgeProtection != nil && !*p.PurgeProtection:
		armBadRequest("BadRequest", "The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection for a vault is an irreversible action.").write(w)
		return
	}
	if r.Method == http.MethodPut && v.Deleted {
		v.Deleted = false
		s.dropBelow(id)
		s.dropEvents(v, s.o.KeepTopics)
	}
	if p.PurgeProtection != nil {
		v.PurgeProtection = true
	}
	if p.Network != nil {
		v.Bypass, v.DefaultAction, v.IPRules = p.Network.Bypass, p.Network.DefaultAction, nil // as a whole
		for _, r := range p.Network.IPRules {
			v.IPRules = append(v.IPRules, r.Value)
		}
	}
	s.emitResource("ResourceWriteSuccess", "Microsoft.KeyVault/vaults/write", v.ID.String(), c.ObjectID)
	writeJSON(w, http.StatusOK, vaultBody(v))
}

func (s *Sim) dropBelow(id azureid.Resource) {
	var kept []RoleAssignment
	for _, a := range s.assignments {
		if !covers(id.Key(), strings.ToLower(a.Scope)) {
			kept = append(kept, a)
		}
	}
	s.assignments = kept
}

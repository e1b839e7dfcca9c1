package azuresim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
)

// clusterPatch is ClusterUpdate of the REST specification as far as this
// product goes. A nil Encryption or CMK is absent; a CMK with neither URL nor
// identity is the empty object.
type clusterPatch struct {
	Identity *struct {
		Type string         `json:"type"`
		All  map[string]any `json:"userAssignedIdentities"`
	} `json:"identity"`
	Properties struct {
		Encryption *struct {
			CMK *struct {
				Identity struct {
					Type string `json:"identityType"`
					ID   string `json:"userAssignedIdentityResourceId"`
				} `json:"keyEncryptionKeyIdentity"`
				KeyURL string `json:"keyEncryptionKeyUrl"`
			} `json:"customerManagedKeyEncryption"`
		} `json:"encryption"`
	} `json:"properties"`
	Tags map[string]string `json:"tags"`
}

// patchCluster accepts an update and answers 202 with the headers of a long
// operation ([doc]: final state via Azure-AsyncOperation).
func (s *Sim) patchCluster(w http.ResponseWriter, r *http.Request, caller *Caller, id azureid.Resource) {
	c, ok := s.clusters[id.Key()]
	if !ok {
		armNotFound("Microsoft.Cache/redisEnterprise", id.Name(), id.ResourceGroup()).write(w)
		return
	}
	var p clusterPatch
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		armBadRequest("InvalidRequestContent", "The request content was invalid and could not be deserialized: '%s'.", err).write(w)
		return
	}
	// 409 while it is being updated, also in the minute in which only
	// resourceState still says so. (Azure/bicep#11465 for the text; expected to
	// be the same on Enterprise, [inferred].)
	if c.ProvisioningState == "Updating" || c.ResourceState == "Updating" {
		(&armError{Status: http.StatusConflict, Code: "Conflict", RetryAfter: "60",
			Message: "Redis is busy processing a previous update request or is undergoing system maintenance. Please try again later."}).write(w)
		return
	}
	op := &Operation{ID: s.guid()}
	next, e := s.applyPatch(c, p, caller, op)
	if e != nil {
		e.write(w)
		return
	}
	now := s.clock.Now()
	op.Started, op.EndsAt = now, now.Add(s.o.PatchTakes)
	op.RunsAt = op.EndsAt.Add(s.o.StateLag)
	next.Operation, next.ProvisioningState, next.ResourceState = op, "Updating", "Updating"
	*c = next
	base := armRoot + "/subscriptions/" + id.Subscription() + "/providers/Microsoft.Cache/locations/" + region(c.Location)
	version := "?api-version=" + r.URL.Query().Get("api-version")
	w.Header().Set("Azure-AsyncOperation", base+"/operationsStatus/"+op.ID+version)
	w.Header().Set("Location", base+"/operationResults/"+op.ID+version)
	w.Header().Set("Retry-After", "15")
	writeJSON(w, http.StatusAccepted, s.clusterBody(c))
}

// applyPatch returns the cluster with what changes at once, and puts into op
// what the operation will change or how it will fail.
func (s *Sim) applyPatch(c *Cluster, p clusterPatch, caller *Caller, op *Operation) (Cluster, *armError) {
	next := *c
	if p.Tags != nil {
		next.Tags = p.Tags
	}
	if p.Identity != nil {
		ids, e := s.attach(p.Identity.All, caller)
		if e != nil {
			return next, e
		}
		// Whether the map is merged or replaced is documented nowhere ([?]). It
		// replaces here, so that leaving an identity out shows.
		next.Identities = ids
	}
	if p.Properties.Encryption == nil {
		return next, nil
	}
	k := p.Properties.Encryption.CMK
	if k == nil || k.KeyURL == "" && k.Identity.ID == "" {
		// "Set this to an empty object to use Microsoft-managed key encryption"
		// (models.tsp, [doc]); a disruption that this product must never cause.
		next.CMK = nil
		return next, nil
	}
	cmk := &CMK{IdentityType: k.Identity.Type, KeyURL: k.KeyURL}
	id, err := azureid.ParseResource(k.Identity.ID)
	if err != nil || !strings.EqualFold(cmk.IdentityType, "userAssignedIdentity") {
		return next, armBadRequest("InvalidRequestBody", "keyEncryptionKeyIdentity must be a userAssignedIdentity; only it is supported in this API version.")
	}
	cmk.IdentityID = id
	if e := s.checkKey(&next, cmk, op); e != nil {
		return next, e
	}
	op.Apply = cmk
	return next, nil
}

// attach parses the identity map; each needs the right to assign it.
func (s *Sim) attach(all map[string]any, caller *Caller) ([]azureid.Resource, *armError) {
	var out []azureid.Resource
	for raw := range all {
		id, err := azureid.ParseResource(raw)
		if err != nil || id.Type() != azureid.TypeIdentity {
			return nil, armBadRequest("InvalidIdentityValues", "'%s' is not the id of a user assigned identity.", raw)
		}
		if !caller.writes(id.String()) {
			e := armForbidden(caller.ObjectID, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", id.String())
			e.Code = "LinkedAuthorizationFailed" // of a linked resource, [sample]
			return nil, e
		}
		if _, ok := s.identities[id.Key()]; !ok {
			return nil, armBadRequest("FailedIdentityOperation", "Identity operation for '%s' failed: the identity was not found.", raw)
		}
		out = append(out, id)
	}
	slices.SortFunc(out, func(a, b azureid.Resource) int { return strings.Compare(a.Key(), b.Key()) })
	return out, nil
}

// checkKey refuses at once what the page of requirements says and the request
// alone or the vault's resource tells: a versioned URL, an attached identity,
// the same region, RSA (AMR "Configure disk encryption", [doc]; that it is a
// 400 is [inferred]). A key that cannot be reached fails the operation, or the
// request under Options.SyncRefuse: which of them is documented nowhere ([?]).
func (s *Sim) checkKey(c *Cluster, cmk *CMK, op *Operation) *armError {
	refuse := func(format string, args ...any) *armError {
		return armBadRequest("InvalidRequestBody", format, args...)
	}
	k, err := azureid.ParseKey(cmk.KeyURL, azureid.Public())
	switch {
	case err != nil || k.Version == "":
		return refuse("keyEncryptionKeyUrl '%s' must be a versioned key identifier.", cmk.KeyURL)
	case !slices.ContainsFunc(c.Identities, cmk.IdentityID.Equal):
		return refuse("Identity '%s' is not in the identities of the cluster.", cmk.IdentityID)
	}
	v, _, ver := s.find(k)
	if v != nil && region(v.Location) != region(c.Location) {
		return refuse("Key vault '%s' must be in the same region as the cluster.", k.VaultName())
	}
	if ver != nil && ver.Type != "RSA" && ver.Type != "RSA-HSM" {
		return refuse("Key '%s' is of type %s; only RSA keys are supported.", k, ver.Type)
	}
	if s.canUnwrap(c, cmk) {
		return nil
	}
	message := fmt.Sprintf("The identity '%s' could not unwrap with key '%s'.", cmk.IdentityID, k)
	if s.o.SyncRefuse {
		return armBadRequest("KeyVaultAccessFailed", "%s", message)
	}
	op.Failure = message
	return nil
}

// getOperation is operationsStatus and operationResults. The operation follows
// provisioningState only, and so is over before the cluster is (the poller of
// terraform-provider-azurerm waits for resourceState after it, [code]).
func (s *Sim) getOperation(w http.ResponseWriter, id azureid.Resource) {
	for _, c := range s.clusters {
		op := c.Operation
		if op == nil || !strings.EqualFold(op.ID, id.Name()) {
			continue
		}
		running := s.clock.Now().Before(op.EndsAt)
		if running {
			w.Header().Set("Retry-After", "15")
		}
		switch {
		case id.Type() == typeOperation:
			writeJSON(w, http.StatusOK, operationBody(id, op, running))
		case running:
			w.WriteHeader(http.StatusAccepted)
		default:
			writeJSON(w, http.StatusOK, s.clusterBody(c))
		}
		return
	}
	armNotFound("Microsoft.Cache/locations/operationsStatus", id.Name(), "").write(w)
}

func operationBody(id azureid.Resource, op *Operation, running bool) map[string]any {
	body := map[string]any{"id": id.String(), "name": op.ID, "startTime": armTime(op.Started), "status": "Updating"}
	switch {
	case running:
	case op.Failure != "":
		body["status"], body["endTime"] = "Failed", armTime(op.EndsAt)
		body["error"] = map[string]any{"code": "KeyVaultAccessFailed", "message": op.Failure}
	default:
		body["status"], body["endTime"] = "Succeeded", armTime(op.EndsAt)
	}
	return body
}

package azuresim

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

// may reports whether the principal may do the data action on the key, by the
// vault's own model only: RBAC where it is on, access policies otherwise; the
// other side is ignored [D: Key Vault RBAC guide].
func (s *Sim) may(principal string, v *Vault, key, dataAction, permission string) bool {
	if !v.RBAC {
		return slices.ContainsFunc(v.Policies, func(p AccessPolicy) bool {
			return strings.EqualFold(p.ObjectID, principal) && slices.ContainsFunc(p.Keys, func(k string) bool {
				return strings.EqualFold(k, permission) || strings.EqualFold(k, "all")
			})
		})
	}
	scope := strings.ToLower(v.ID.Key() + "/keys/" + key)
	action := "Microsoft.KeyVault/vaults/" + dataAction
	for _, d := range s.denies {
		if covers(d.Scope, scope) && matchAny(d.DataActions, action) && !slices.Contains(d.Exclude, principal) {
			return false
		}
	}
	return slices.ContainsFunc(s.assignments, func(a RoleAssignment) bool {
		r := s.roles[a.RoleID]
		return strings.EqualFold(a.PrincipalID, principal) && a.Condition == "" && covers(a.Scope, scope) &&
			matchAny(r.DataActions, action) && !matchAny(r.NotData, action)
	})
}

func covers(scope, of string) bool {
	scope = strings.TrimSuffix(strings.ToLower(scope), "/")
	return scope == of || strings.HasPrefix(of, scope+"/")
}

// matchAny compares with * as the wildcard that also spans slashes.
func matchAny(patterns []string, action string) bool {
	flat := strings.NewReplacer("/", "\x01")
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(flat.Replace(strings.ToLower(p)), flat.Replace(strings.ToLower(action)))
		return err == nil && ok
	})
}

// canUnwrap reports whether a cluster's identity can unwrap with the version
// now: granted, present, enabled, the operation allowed. An expired version
// still unwraps [D: key attributes].
func (s *Sim) canUnwrap(c *Cluster, cmk *CMK) bool {
	k, err := azureid.ParseKey(cmk.KeyURL, azureid.Public())
	if err != nil {
		return false
	}
	v, key, ver := s.find(k)
	id, known := s.identities[cmk.IdentityID.Key()]
	if v == nil || key == nil || ver == nil || !known || key.Deleted != nil || !ver.Enabled || !slices.Contains(ver.Ops, "unwrapKey") {
		return false
	}
	listed := slices.ContainsFunc(c.Identities, func(r azureid.Resource) bool { return r.Equal(cmk.IdentityID) })
	return listed && s.may(id.PrincipalID, v, k.Name, "keys/unwrap/action", "unwrapKey") &&
		s.may(id.PrincipalID, v, k.Name, "keys/read", "get")
}

func (s *Sim) find(k azureid.Key) (*Vault, *Key, *Version) {
	v := s.vaults[k.Host]
	if v == nil || v.Deleted {
		return nil, nil, nil
	}
	key := v.Keys[strings.ToLower(k.Name)]
	if key == nil {
		return v, nil, nil
	}
	for _, ver := range key.Versions {
		if ver.ID == k.Version {
			return v, key, ver
		}
	}
	return v, key, nil
}

// settle brings the world to the present: late effects, operations that ended,
// versions that clusters adopt, clusters that lost their key.
func (s *Sim) settle() {
	if s.o.Still {
		return
	}
	s.land()
	now := s.clock.Now()
	s.live(now)
	for _, c := range s.clusters {
		s.settleOperation(c, now)
		if c.CMK == nil {
			continue
		}
		s.adopt(c, now)
		s.offline(c, now)
	}
}

func (s *Sim) settleOperation(c *Cluster, now time.Time) {
	op := c.Operation
	if op == nil {
		return
	}
	if !now.Before(op.EndsAt) && c.ProvisioningState == "Updating" {
		c.ProvisioningState = "Succeeded"
		switch {
		case op.Failure != "":
			c.ProvisioningState, c.ResourceState = "Failed", "UpdateFailed"
		case op.Apply != nil:
			c.CMK = op.Apply
			s.auditUnwrap(c.CMK, http.StatusOK)
		}
		s.emitResource("ResourceWriteSuccess", "Microsoft.Cache/redisEnterprise/write", c.ID.String(), "")
	}
	if !now.Before(op.RunsAt) && c.ResourceState == "Updating" {
		c.ResourceState = "Running"
	}
}

// adopt: Azure Managed Redis (v2) takes up the newest enabled version within
// two hours [D]; Enterprise (v1) is not documented to and does not.
func (s *Sim) adopt(c *Cluster, now time.Time) {
	k, err := azureid.ParseKey(c.CMK.KeyURL, azureid.Public())
	if err != nil || c.Kind != "v2" || s.o.NoAdopt || c.ResourceState != "Running" {
		return
	}
	_, key, _ := s.find(k)
	if key == nil || key.Deleted != nil {
		return
	}
	newest := key.Versions[len(key.Versions)-1]
	if newest.Enabled && newest.ID != k.Version && now.Sub(newest.Created) >= s.o.AdoptAfter {
		next := *c.CMK
		next.KeyURL = k.At(newest.ID).String()
		if !s.canUnwrap(c, &next) || c.adopted == newest.ID {
			return
		}
		c.adopted = newest.ID
		s.auditUnwrap(&next, http.StatusOK)
		if !s.o.HideAdopt { // [?]: else GET goes on naming the version of the last write
			c.CMK = &next
		}
	}
}

// offline: a cluster whose identity cannot unwrap goes Disabled after a while
// [I: the service documents only the risk of going offline; managed disks
// document about one hour].
func (s *Sim) offline(c *Cluster, now time.Time) {
	id := c.ID.Key()
	if s.canUnwrap(c, c.CMK) {
		delete(s.lostAt, id)
		if c.ResourceState == "Disabled" {
			c.ResourceState = "Running"
		}
		return
	}
	if s.lostAt[id].IsZero() {
		s.lostAt[id] = now
		s.auditUnwrap(c.CMK, http.StatusForbidden)
	}
	if now.Sub(s.lostAt[id]) >= s.o.OfflineLag && c.ResourceState == "Running" {
		c.ResourceState = "Disabled"
	}
}

// auditUnwrap logs that a cluster's identity unwrapped, or was refused, as it
// does when it takes a version up or finds it gone [I].
func (s *Sim) auditUnwrap(cmk *CMK, status int) {
	k, err := azureid.ParseKey(cmk.KeyURL, azureid.Public())
	v := s.vaults[k.Host]
	if err != nil || v == nil {
		return
	}
	result := "Success"
	if status >= 400 {
		result = "Unauthorized"
	}
	s.auditRecord("KeyUnwrap", v, k.String(), s.identities[cmk.IdentityID.Key()].PrincipalID, s.eventID(), result, status)
}

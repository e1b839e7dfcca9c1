package risk

import (
	"fmt"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// The scene's accessors: one per fact, each naming it as people would.

func (s *scene) cluster() (wiring.Cluster, bool) {
	return use(s, "the cluster", s.w.Cluster, func(c wiring.Cluster) string {
		return fmt.Sprintf("kind %s, provisioning %s, resource %s", c.Kind, c.ProvisioningState, c.ResourceState)
	})
}

// cmk returns the cluster and its encryption settings.
func (s *scene) cmk() (wiring.Cluster, wiring.CMK, bool) {
	c, ok := s.cluster()
	if !ok {
		return c, wiring.CMK{}, false
	}
	if c.CMK == nil {
		s.missing = append(s.missing, "the cluster names no customer-managed key")
		return c, wiring.CMK{}, false
	}
	return c, *c.CMK, true
}

// key returns the key that the cluster names.
func (s *scene) key() (azureid.Key, bool) {
	_, m, ok := s.cmk()
	if !ok {
		return azureid.Key{}, false
	}
	if m.Key.IsZero() {
		s.missing = append(s.missing, "which key the cluster uses cannot be told from its key URL (CMK-005)")
		return azureid.Key{}, false
	}
	return m.Key, true
}

func (s *scene) identity() (wiring.Identity, bool) {
	return use(s, "the managed identity", s.w.Identity, func(i wiring.Identity) string {
		return "principal " + i.PrincipalID
	})
}

// vault returns the vault, if the fact is about the vault that the key URL names.
func (s *scene) vault() (wiring.Vault, bool) {
	v, ok := use(s, "the vault", s.w.Vault, func(v wiring.Vault) string {
		return fmt.Sprintf("%s in %s, soft delete %t, purge protection %t, RBAC %t",
			v.Host, v.Location, v.SoftDelete, v.PurgeProtection, v.RBAC)
	})
	if !ok {
		return v, false
	}
	k, ok := s.key()
	if !ok {
		return v, false
	}
	if v.Host != "" && !strings.EqualFold(v.Host, k.Host) {
		s.missing = append(s.missing, fmt.Sprintf("the vault that was read, %s, is not the key's, %s", v.Host, k.Host))
		return v, false
	}
	return v, true
}

func (s *scene) versions() ([]wiring.KeyVersion, bool) {
	return use(s, "the list of key versions", s.w.Versions, func(v []wiring.KeyVersion) string {
		return fmt.Sprintf("%d versions", len(v))
	})
}

// inUse returns the list's entry for the version that the cluster names, and
// the whole list.
func (s *scene) inUse() (wiring.KeyVersion, []wiring.KeyVersion, bool) {
	k, ok := s.key()
	if !ok {
		return wiring.KeyVersion{}, nil, false
	}
	all, ok := s.versions()
	if !ok {
		return wiring.KeyVersion{}, nil, false
	}
	v, ok := s.w.Version(k)
	switch {
	case k.Version == "":
		s.missing = append(s.missing, "the cluster's key URL names no version (CMK-005)")
		return v, all, false
	case !ok:
		s.missing = append(s.missing, fmt.Sprintf("version %s is not in the key's list (CMK-010)", k.Version))
		return v, all, false
	}
	return v, all, true
}

// bundle returns the public part of the version that the cluster names.
func (s *scene) bundle() (wiring.KeyBundle, bool) {
	k, ok := s.key()
	if !ok {
		return wiring.KeyBundle{}, false
	}
	b, ok := use(s, "the key", s.w.InUse, func(b wiring.KeyBundle) string {
		return fmt.Sprintf("%s %d bits, operations %s", b.Type, b.Bits, strings.Join(b.Ops, " "))
	})
	if ok && !b.Key.IsZero() && !b.Key.SameKey(k) {
		s.missing = append(s.missing, fmt.Sprintf("the key that was read, %s, is not the cluster's", b.Key))
		return b, false
	}
	return b, ok
}

func (s *scene) deleted() (wiring.DeletedKey, bool) {
	return use(s, "the list of deleted keys", s.w.Deleted, func(d wiring.DeletedKey) string {
		return "deleted " + day(d.DeletedAt) + ", purged " + day(d.PurgeAt)
	})
}

func (s *scene) rotation() (wiring.RotationPolicy, bool) {
	return use(s, "the rotation policy", s.w.Rotation, func(p wiring.RotationPolicy) string {
		return fmt.Sprintf("%d lifetime actions, expiry %q", len(p.Actions), p.ExpiryTime)
	})
}

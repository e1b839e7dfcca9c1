package plan

import (
	"maps"
	"slices"
	"strings"

	"cmkguard/internal/wiring"
)

// OwnerTag on a cluster, a vault or a key names the installation that acts on it.
// Tags have too many writers to release anything: one that names us changes
// nothing, one that names another holds.
const OwnerTag = "cmkguard-owner"

// gateOwner holds what another installation is to act on: by the policy's owner, or
// by a tag.
func gateOwner(p Plan, f Facts, in Inputs) Ruling {
	const name = "owner"
	us := in.Policy.Owner.Installation
	for _, c := range clustersOf(p, f) {
		if ok, why := in.Policy.Owns(targetOf(c, f)); !ok {
			return hold(name, "%s is another installation's to act on, %s observes: %s", c.Name, us, why)
		}
	}
	tagged := map[string]string{}
	for _, c := range clustersOf(p, f) {
		ownerOn(tagged, "cluster "+c.Name, c.Tags)
	}
	for _, w := range f.Wirings {
		maps.Copy(tagged, Owners(w))
	}
	if newest, ok := wiring.Newest(f.Versions.Value); ok {
		ownerOn(tagged, "key "+newest.Key.Name, newest.Tags)
	}
	for _, where := range slices.Sorted(maps.Keys(tagged)) {
		switch owner := tagged[where]; {
		case us == "":
			return hold(name, "the tag %s on %s names %q, and this installation has no name (owner.installation in the policy)", OwnerTag, where, owner)
		case !strings.EqualFold(owner, us):
			return hold(name, "the tag %s on %s names %q, this installation is %s", OwnerTag, where, owner, us)
		}
	}
	if us == "" {
		return allow(name, "no owner is declared")
	}
	return allow(name, "this installation, %s, is the owner", us)
}

// Owners are the values of the owner tag in a chain, by what bears it.
func Owners(w wiring.Wiring) map[string]string {
	out := map[string]string{}
	ownerOn(out, "cluster "+w.Cluster.Value.Name, w.Cluster.Value.Tags)
	ownerOn(out, "vault "+w.Vault.Value.Name, w.Vault.Value.Tags)
	if newest, ok := wiring.Newest(w.Versions.Value); ok {
		ownerOn(out, "key "+newest.Key.Name, newest.Tags)
	}
	return out
}

func ownerOn(out map[string]string, what string, tags map[string]string) {
	for name, value := range tags {
		if strings.EqualFold(name, OwnerTag) {
			out[what] = strings.TrimSpace(value)
		}
	}
}

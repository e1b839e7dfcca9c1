package plan

import (
	"cmkguard/internal/policy"
	"cmkguard/internal/wiring"
)

// Lets reports whether the policy lets the remedy act on the cluster at all, by
// itself or by an approval.
func Lets(pol *policy.Policy, remedy string, c wiring.Cluster) bool {
	var f Facts
	if c.CMK != nil {
		f.Key = c.CMK.Key
	}
	if ok, _ := pol.InScope(targetOf(c, f)); !ok {
		return false
	}
	if yes, _ := pol.Imported(f.Key); yes && remedy == Rotate {
		return false
	}
	for _, r := range asTightAs(remedy, c) {
		if mode, _ := pol.ModeFor(r, targetOf(c, f)); mode.Rank() < policy.Approve.Rank() {
			return false
		}
	}
	return true
}

const (
	keyActions    = "Microsoft.KeyVault/vaults/keys/"
	clusterWrite  = "Microsoft.Cache/redisEnterprise/write"
	identityJoin  = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
	rotationWrite = "Microsoft.KeyVault/vaults/keyrotationpolicies/write"
)

// Rights returns what the remediator must hold to carry the remedy out for a
// cluster whose key lies in the vault, reads beside those of the key left out
// (docs/remedies.md). Control-plane actions: learn.microsoft.com
// role-based-access-control/permissions; data actions and their permissions of
// access policies: key-vault/general/rbac-migration.
func Rights(remedy string, c wiring.Cluster, v wiring.Vault) []wiring.Need {
	if c.CMK == nil || c.CMK.Key.IsZero() {
		return nil
	}
	key := v.ID.String() + "/keys/" + c.CMK.Key.Name
	data := func(action, permission string) wiring.Need {
		return wiring.Need{For: remedy, Scope: key, Action: action, Data: true, Permission: permission}
	}
	at := func(scope, action string) wiring.Need {
		return wiring.Need{For: remedy, Scope: scope, Action: action}
	}
	move := []wiring.Need{at(c.ID.String(), clusterWrite), at(c.CMK.IdentityID.String(), identityJoin)}
	switch remedy {
	case Rotate:
		out := []wiring.Need{data(keyActions+"read", "get"), data(keyActions+"rotate/action", "rotate")}
		if c.Kind != "v2" {
			out = append(out, move...)
		}
		return out
	case Rewire, AttachIdentity, RollBackDowngrade, Undo, Quarantine: // in which vault a new key is to be made, its request says
		return move
	case SetRotationPolicy:
		return []wiring.Need{data(rotationWrite, "setrotationpolicy")}
	case RecoverKey:
		return []wiring.Need{data(keyActions+"recover/action", "recover")}
	case ReenableVersion, FixKeyOps:
		return []wiring.Need{data(keyActions+"update/action", "update")}
	case RestoreDiagnostics:
		return []wiring.Need{at(v.ID.String(), "Microsoft.Insights/diagnosticSettings/write")}
	case RecreateEvents:
		group := "/subscriptions/" + v.ID.Subscription() + "/resourceGroups/" + v.ID.ResourceGroup() // where the system topic lies
		return []wiring.Need{at(group, "Microsoft.EventGrid/systemTopics/write"), at(group, "Microsoft.EventGrid/systemTopics/eventSubscriptions/write")}
	case RestoreGrant:
		return []wiring.Need{at(v.ID.String(), "Microsoft.Authorization/roleAssignments/write")}
	case OpenTrustedBypass, EnablePurgeProtection, RecoverVault:
		return []wiring.Need{at(v.ID.String(), "Microsoft.KeyVault/vaults/write")}
	}
	return nil
}

package plan

import (
	"slices"

	"cmkguard/internal/policy"
)

// Least are the rights that an identity needs of Azure, and no others: actions of the
// control plane, data actions, and, for vaults with access policies, the key
// permissions that stand for them. docs/remedies.md, infra/access.bicep and the scoped
// needs of Rights are held to it.
type Least struct {
	Actions     []string
	DataActions []string
	Permissions []string
}

const (
	vaultsPrefix = "Microsoft.KeyVault/vaults/"
	keyRead      = vaultsPrefix + "keys/read"
	clusterRead  = "Microsoft.Cache/redisEnterprise/read"
)

// ObserverRights are what reading the chain takes.
func ObserverRights() Least {
	return Least{
		Actions: []string{
			clusterRead, "Microsoft.Cache/redisEnterprise/databases/read",
			"Microsoft.KeyVault/vaults/read", "Microsoft.KeyVault/locations/deletedVaults/read",
			"Microsoft.ManagedIdentity/userAssignedIdentities/read",
			"Microsoft.Authorization/permissions/read", "Microsoft.Authorization/roleAssignments/read", "Microsoft.Authorization/roleDefinitions/read",
			"Microsoft.Authorization/denyAssignments/read", "Microsoft.Authorization/locks/read",
			"Microsoft.Insights/diagnosticSettings/read", "Microsoft.EventGrid/eventSubscriptions/read",
			"Microsoft.EventGrid/systemTopics/read", "Microsoft.EventGrid/systemTopics/eventSubscriptions/read",
			"Microsoft.ResourceGraph/resources/read", "Microsoft.Resources/subscriptions/read", "Microsoft.Resources/subscriptions/resourceGroups/read",
		},
		DataActions: []string{keyRead, vaultsPrefix + "keyrotationpolicies/read"},
		Permissions: []string{"get", "list", "getrotationpolicy"},
	}
}

// RightsOf are what carrying the remedy out takes; none for what is no remedy.
func RightsOf(remedy string) Least {
	switch remedy {
	case Rotate: // and what follows for v1 clusters
		return Least{DataActions: []string{keyRead, vaultsPrefix + "keys/rotate/action"}, Permissions: []string{"get", "list", "rotate"}}.and(RightsOf(Rewire))
	case Rewire, AttachIdentity, RollBackDowngrade, Undo:
		return Least{Actions: []string{
			clusterRead, "Microsoft.Cache/redisEnterprise/write", "Microsoft.Cache/locations/operationsStatus/read",
			"Microsoft.ManagedIdentity/userAssignedIdentities/read", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
		}}
	case Quarantine:
		return Least{DataActions: []string{keyRead, vaultsPrefix + "keys/create/action"}, Permissions: []string{"get", "list", "create"}}.and(RightsOf(Rewire))
	case SetRotationPolicy:
		return Least{
			DataActions: []string{vaultsPrefix + "keyrotationpolicies/read", vaultsPrefix + "keyrotationpolicies/write"},
			Permissions: []string{"getrotationpolicy", "setrotationpolicy"},
		}
	case RecoverKey:
		return Least{DataActions: []string{keyRead, vaultsPrefix + "keys/recover/action"}, Permissions: []string{"get", "list", "recover"}}
	case ReenableVersion, FixKeyOps:
		return Least{DataActions: []string{keyRead, vaultsPrefix + "keys/update/action"}, Permissions: []string{"get", "list", "update"}}
	case RestoreGrant:
		return Least{Actions: []string{"Microsoft.Authorization/roleAssignments/read", "Microsoft.Authorization/roleAssignments/write"}}
	case OpenTrustedBypass, EnablePurgeProtection:
		return Least{Actions: []string{"Microsoft.KeyVault/vaults/read", "Microsoft.KeyVault/vaults/write"}}
	case RecoverVault:
		return Least{Actions: []string{"Microsoft.KeyVault/vaults/read", "Microsoft.KeyVault/vaults/write", "Microsoft.KeyVault/locations/deletedVaults/read"}}
	case RecreateEvents: // the last two are write access to the destination, which Event Grid asks for
		return Least{Actions: []string{
			"Microsoft.EventGrid/systemTopics/read", "Microsoft.EventGrid/systemTopics/write",
			"Microsoft.EventGrid/systemTopics/eventSubscriptions/read", "Microsoft.EventGrid/systemTopics/eventSubscriptions/write",
			"Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", "Microsoft.Web/sites/functions/write", "Microsoft.Storage/storageAccounts/write",
		}}
	case RestoreDiagnostics:
		return Least{Actions: []string{
			"Microsoft.Insights/diagnosticSettings/read", "Microsoft.Insights/diagnosticSettings/write", "Microsoft.OperationalInsights/workspaces/sharedKeys/action",
			"Microsoft.EventHub/namespaces/authorizationRules/listKeys/action", "Microsoft.Storage/storageAccounts/listKeys/action",
		}}
	}
	return Least{}
}

// RightsUnder are what the remediator needs under the policy: those of every remedy
// that may act anywhere, by itself or by approval.
func RightsUnder(p *policy.Policy) Least {
	var out Least
	for remedy := range Ceilings() {
		if p.Acts(remedy) {
			out = out.and(RightsOf(remedy))
		}
	}
	if p.Declared.AccessPolicies && p.Acts(RestoreGrant) { // a right that can give itself any other: only where it is asked for
		out = out.and(Least{Actions: []string{"Microsoft.KeyVault/vaults/read", "Microsoft.KeyVault/vaults/accessPolicies/write"}})
	}
	return out
}

// HouseRoles are the built-in roles that our own house takes: state, telemetry,
// incoming logs and outgoing events. Each value is a type of resource at or below which
// the role is no excess (learn.microsoft.com role-based-access-control/built-in-roles).
func HouseRoles() map[string]string {
	const storage = "microsoft.storage/storageaccounts"
	return map[string]string{
		"b7e6dc6d-f1e8-4753-8033-0f276bb0955b": storage,                         // Storage Blob Data Owner
		"ba92f5b4-2d11-453d-a403-e96b0029c9fe": storage,                         // Storage Blob Data Contributor
		"974c5e8b-45b9-4653-ba55-5f855dd0fb88": storage,                         // Storage Queue Data Contributor
		"c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": storage,                         // Storage Queue Data Message Sender
		"0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": storage,                         // Storage Table Data Contributor
		"3913510d-42f4-4e42-8a64-420c390055eb": "microsoft.insights/components", // Monitoring Metrics Publisher
		"a638d3c7-ab3a-418d-83e6-5f17a39d4fde": "microsoft.eventhub/namespaces", // Azure Event Hubs Data Receiver
		"d5a91429-5739-47e2-a06b-3470a27159e7": "microsoft.eventgrid/topics",    // EventGrid Data Sender
	}
}

func (r Least) and(o Least) Least {
	join := func(a, b []string) []string {
		out := append(slices.Clone(a), b...)
		slices.Sort(out)
		return slices.Compact(out)
	}
	return Least{join(r.Actions, o.Actions), join(r.DataActions, o.DataActions), join(r.Permissions, o.Permissions)}
}

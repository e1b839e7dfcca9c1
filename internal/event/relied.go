package event

import "strings"

// Occurrence is one thing that is done to a resource, as Event Grid names it.
type Occurrence struct {
	Type      string // Microsoft.Resources.ResourceWriteSuccess, ...
	Operation string // Microsoft.KeyVault/vaults/write, ...
}

// Relied lists what a subscription's topic must tell us: every operation that makes a
// signal here, where it succeeded. Not among them are those on Azure Firewall, without
// which a closed way to the vault shows in the next look, and what failed or was
// cancelled.
func Relied() []Occurrence {
	const (
		cache, vault, roles     = "Microsoft.Cache/redisEnterprise/", "Microsoft.KeyVault/vaults/", "Microsoft.Authorization/"
		identity, logs, network = "Microsoft.ManagedIdentity/userAssignedIdentities/", "Microsoft.Insights/diagnosticSettings/", "Microsoft.Network/privateEndpoints/"
		grid                    = "Microsoft.EventGrid/"
	)
	var out []Occurrence
	for _, op := range []string{
		cache + "write", cache + "delete", cache + "databases/write", cache + "databases/delete",
		vault + "write", vault + "delete", vault + "accessPolicies/write", vault + "keys/write",
		"Microsoft.KeyVault/locations/deletedVaults/purge/action",
		vault + "privateEndpointConnections/write", vault + "privateEndpointConnections/delete", vault + "privateEndpointConnectionsApproval/action",
		vault + "eventGridFilters/write", vault + "eventGridFilters/delete",
		identity + "write", identity + "delete",
		roles + "roleAssignments/write", roles + "roleAssignments/delete", roles + "roleDefinitions/write", roles + "roleDefinitions/delete",
		roles + "locks/write", roles + "locks/delete",
		logs + "write", logs + "delete",
		grid + "eventSubscriptions/write", grid + "eventSubscriptions/delete",
		grid + "systemTopics/eventSubscriptions/write", grid + "systemTopics/eventSubscriptions/delete", grid + "systemTopics/delete",
		network + "write", network + "delete",
	} {
		verb := op[strings.LastIndexByte(op, '/')+1:]
		out = append(out, Occurrence{"Microsoft.Resources.Resource" + strings.ToUpper(verb[:1]) + verb[1:] + "Success", op})
	}
	return out
}

package event

import (
	"strings"

	"cmkguard/internal/azureid"
)

// Kinds that resource events and audit records hint at, beside Key Vault's own.
const (
	ClusterWritten  Kind = "cluster-written"
	ClusterDeleted  Kind = "cluster-deleted"
	VaultWritten    Kind = "vault-written"
	VaultDeleted    Kind = "vault-deleted"
	VaultRecovered  Kind = "vault-recovered"
	VaultPurged     Kind = "vault-purged"
	NetworkChanged  Kind = "network-changed"
	RoleAssigned    Kind = "role-assigned"
	RoleUnassigned  Kind = "role-unassigned"
	RoleRedefined   Kind = "role-redefined"
	IdentityWritten Kind = "identity-written"
	IdentityDeleted Kind = "identity-deleted"
	LockChanged     Kind = "lock-changed"
	EarsChanged     Kind = "ears-changed" // a diagnostic setting or event subscription was written
	EarsCut         Kind = "ears-cut"     // one was deleted
)

// whose says which thing an operation's resource leads to.
type whose int

const (
	ofCluster whose = iota + 1 // the resource, or the cluster above it
	ofVault
	ofVaultByName // a deleted vault, which has no resource group
	ofKey
	ofIdentity
	ofParent       // an extension resource: what it is attached to
	ofSubscription // whatever lies in it
	ofItself
	ofNobody // known, and of no consequence for a key
)

// operation is what the name of a resource provider's operation means here.
type operation struct {
	kind Kind
	of   whose
	why  string // for ofNobody
}

// operationOf returns the meaning of an operation, compared without regard to
// case: no capture of these names from redisEnterprise exists, and Azure's own
// pages disagree on the case of others.
//
// Names: learn.microsoft.com, "Azure permissions for ..." (resource-provider
// operations); that an event's operationName equals the permission is how
// "Azure subscription as an Event Grid source" describes it.
func operationOf(name string) (operation, bool) {
	switch strings.ToLower(name) {
	case "microsoft.cache/redisenterprise/write", "microsoft.cache/redisenterprise/databases/write", "microsoft.cache/redisenterprise/databases/delete":
		return operation{kind: ClusterWritten, of: ofCluster}, true
	case "microsoft.cache/redisenterprise/delete":
		return operation{kind: ClusterDeleted, of: ofCluster}, true
	case "microsoft.cache/redisenterprise/databases/regeneratekey/action":
		return operation{of: ofNobody, why: "about a database's access keys; the encryption key is another"}, true
	}
	if o, ok := vaultOperation(strings.ToLower(name)); ok {
		return o, true
	}
	return governanceOperation(strings.ToLower(name))
}

func vaultOperation(name string) (operation, bool) {
	rest, ok := strings.CutPrefix(name, "microsoft.keyvault/")
	if !ok {
		return operation{}, false
	}
	switch rest {
	case "vaults/write":
		return operation{kind: VaultWritten, of: ofVault}, true
	case "vaults/delete":
		return operation{kind: VaultDeleted, of: ofVault}, true
	case "vaults/accesspolicies/write":
		return operation{kind: AccessPolicyChanged, of: ofVault}, true
	case "vaults/keys/write":
		return operation{kind: KeyNewVersion, of: ofKey}, true
	case "locations/deletedvaults/purge/action":
		return operation{kind: VaultPurged, of: ofVaultByName}, true
	case "vaults/privateendpointconnections/write", "vaults/privateendpointconnections/delete",
		"vaults/privateendpointconnectionsapproval/action":
		return operation{kind: NetworkChanged, of: ofVault}, true
	case "vaults/eventgridfilters/delete":
		return operation{kind: EarsCut, of: ofVault}, true
	case "vaults/eventgridfilters/write":
		return operation{kind: EarsChanged, of: ofVault}, true
	}
	return operation{}, false
}

func governanceOperation(name string) (operation, bool) {
	switch name {
	case "microsoft.authorization/roleassignments/write":
		return operation{kind: RoleAssigned, of: ofParent}, true
	case "microsoft.authorization/roleassignments/delete":
		return operation{kind: RoleUnassigned, of: ofParent}, true
	case "microsoft.authorization/roledefinitions/write", "microsoft.authorization/roledefinitions/delete":
		return operation{kind: RoleRedefined, of: ofParent}, true
	case "microsoft.authorization/locks/write", "microsoft.authorization/locks/delete":
		return operation{kind: LockChanged, of: ofParent}, true
	case "microsoft.managedidentity/userassignedidentities/write":
		return operation{kind: IdentityWritten, of: ofIdentity}, true
	case "microsoft.managedidentity/userassignedidentities/delete":
		return operation{kind: IdentityDeleted, of: ofIdentity}, true
	case "microsoft.insights/diagnosticsettings/write", "microsoft.eventgrid/eventsubscriptions/write":
		return operation{kind: EarsChanged, of: ofParent}, true
	case "microsoft.insights/diagnosticsettings/delete", "microsoft.eventgrid/eventsubscriptions/delete":
		return operation{kind: EarsCut, of: ofParent}, true
	case "microsoft.eventgrid/systemtopics/eventsubscriptions/write":
		return operation{kind: EarsChanged, of: ofItself}, true
	case "microsoft.eventgrid/systemtopics/eventsubscriptions/delete", "microsoft.eventgrid/systemtopics/delete":
		return operation{kind: EarsCut, of: ofItself}, true
	case "microsoft.network/privateendpoints/write", "microsoft.network/privateendpoints/delete",
		"microsoft.network/firewallpolicies/write", "microsoft.network/azurefirewalls/write":
		return operation{kind: NetworkChanged, of: ofSubscription}, true
	}
	return operation{}, false
}

// place fills the signal's subject from the resource that the operation was on,
// or says why nobody here is concerned.
func (o operation) place(s *Signal, r azureid.Resource, c azureid.Cloud) (ignore string) {
	s.Resource = r
	switch o.of {
	case ofCluster:
		return s.at(SubjectCluster, above(r, azureid.TypeRedisEnterprise), r)
	case ofVault:
		return s.at(SubjectVault, above(r, azureid.TypeVault), r)
	case ofVaultByName:
		return s.at(SubjectVault, r, r)
	case ofIdentity:
		return s.at(SubjectIdentity, above(r, azureid.TypeIdentity), r)
	case ofKey:
		return s.atKey(r, c)
	case ofSubscription:
		sub, err := azureid.ParseResource("/subscriptions/" + r.Subscription())
		if err != nil {
			sub = azureid.Resource{}
		}
		return s.at(SubjectScope, sub, r)
	case ofItself:
		return s.at(SubjectScope, r, r)
	case ofParent:
		return s.atParent(r)
	case ofNobody:
		return o.why
	}
	return "of no consequence"
}

// at makes found the subject.
func (s *Signal) at(kind SubjectKind, found, named azureid.Resource) (ignore string) {
	if found.IsZero() {
		return "about " + clip(named.Type()) + ", which no key's chain leads through"
	}
	s.Subject = Subject{Kind: kind, ID: found.Key()}
	if kind == SubjectVault {
		s.Vault = found
	}
	return ""
}

// atKey makes the key of .../vaults/NAME/keys/KEY the subject; its host is the
// vault's name and the cloud's suffix.
func (s *Signal) atKey(r azureid.Resource, c azureid.Cloud) (ignore string) {
	vault := above(r, azureid.TypeVault)
	if vault.IsZero() || r.Type() != azureid.TypeVault+"/keys" || len(c.VaultSuffixes) == 0 {
		return s.at(SubjectVault, vault, r)
	}
	k, err := azureid.ParseKey("https://"+vault.Name()+c.VaultSuffixes[0]+"/keys/"+r.Name(), c)
	if err != nil {
		return s.at(SubjectVault, vault, r) // the whole vault then
	}
	s.Vault, s.Key = vault, k
	s.Subject = Subject{Kind: SubjectKey, ID: k.ID()}
	return ""
}

// atParent makes what an extension resource is attached to the subject: a vault,
// a cluster or an identity, what lies in one, or a scope above them all.
func (s *Signal) atParent(r azureid.Resource) (ignore string) {
	at := strings.LastIndex(r.Key(), "/providers/")
	if at == 0 {
		s.Subject = Subject{Kind: SubjectScope, ID: "/"} // assigned at the tenant
		return ""
	}
	parent, err := azureid.ParseResource(r.String()[:max(at, 0)])
	if err != nil {
		return "about something that is attached to nothing"
	}
	for _, k := range []struct {
		kind SubjectKind
		typ  string
	}{{SubjectVault, azureid.TypeVault}, {SubjectCluster, azureid.TypeRedisEnterprise}, {SubjectIdentity, azureid.TypeIdentity}} {
		if found := above(parent, k.typ); !found.IsZero() {
			return s.at(k.kind, found, r)
		}
	}
	switch parent.Type() {
	case "microsoft.resources/subscriptions", "microsoft.resources/resourcegroups", "microsoft.management/managementgroups":
		return s.at(SubjectScope, parent, r)
	}
	return s.at(SubjectScope, azureid.Resource{}, parent)
}

// above returns r or the resource above it that has the type; zero if none has.
func above(r azureid.Resource, typ string) azureid.Resource {
	for text := r.String(); text != ""; {
		if found, err := azureid.ParseResource(text); err == nil && found.Type() == typ {
			return found
		}
		at := strings.LastIndexByte(text, '/')
		if at < 0 {
			break
		}
		text = text[:at]
	}
	return azureid.Resource{}
}

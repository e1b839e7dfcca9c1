package examples

import (
	"cmkguard/internal/alert"
	"cmkguard/internal/risk"
)

// meant goes with what undoes a revocation, as in internal/guard.
const meant = ", if its owner did not mean it"

// revocations are what somebody may have done on purpose: told, and given back only
// by people.
func (s shop) revocations() []Example {
	return []Example{
		{"key-deleted", "a key in use is deleted and can still be recovered", s.keyDeleted()},
		{"key-purged", "a key in use is gone for good", s.keyPurged()},
		{"key-disabled", "the version in use is disabled", s.keyDisabled()},
		{"access-lost", "the cluster's identity may no longer use the key", s.accessLost()},
		{"vault-deleted", "the vault is deleted and can still be recovered", s.vaultDeleted()},
		{"identity-detached", "the encryption identity is not attached to the cluster", s.identityDetached()},
		{"stranger-version", "somebody else made a version of a key in use", s.strangerVersion()},
		{"cluster-wrong-version", "a cluster went back to an older version", s.wrongVersion()},
		{"approval-wanted", "a plan waits for people", s.approvalWanted()},
		{"hold-released", "a hold tag was taken away", s.holdReleased()},
	}
}

func (s shop) keyDeleted() alert.Alert {
	until := s.after(90)
	day := func() string { return until.UTC().Format("2006-01-02 15:04 UTC") }
	a := s.incident("CMK-010", key(), risk.Critical, "the key "+keyID+" was deleted on "+s.at.Format("2006-01-02 15:04 UTC")+" and can be recovered until "+day())
	a.Title, a.By, a.ByMeans = "Key deleted: kv-shop/redis-kek (CMK-010)", until, "until then it can be recovered, after that it is lost"
	a.Event, a.Key, a.Actor = "CmkGuard.KeyDeleted", keyURL, actor("KeyDelete")
	a.Commands = []alert.Command{
		{Does: "shows the deleted key and its purge date", Line: "az keyvault key show-deleted --vault-name kv-shop --name redis-kek"},
		{Does: "gives the key back" + meant, Line: "az keyvault key recover --vault-name kv-shop --name redis-kek"},
	}
	return waits(a, "recover-key")
}

func (s shop) keyPurged() alert.Alert {
	a := s.incident("CMK-010", key(), risk.Critical, "the key "+keyID+" does not exist and is not among the deleted keys: purged, or never there")
	a.Title, a.Event, a.Key, a.Actor = "Key purged, or never there: kv-shop/redis-kek (CMK-010)", "CmkGuard.KeyPurged", keyURL, actor("KeyPurge")
	a.Commands = []alert.Command{{Does: "shows the deleted key and its purge date", Line: "az keyvault key show-deleted --vault-name kv-shop --name redis-kek"}}
	return a
}

func (s shop) keyDisabled() alert.Alert {
	a := s.incident("CMK-011", key(), risk.Critical, "version "+version+", which the cluster uses, is disabled (last changed "+s.at.Format("2006-01-02 15:04 UTC")+")")
	a.Event, a.Key, a.Actor = "CmkGuard.KeyDisabled", keyURL, actor("KeyUpdate")
	a.Commands = []alert.Command{
		{Does: "lists the key's versions", Line: "az keyvault key list-versions --vault-name kv-shop --name redis-kek --output table"},
		{Does: "enables the version again" + meant, Line: "az keyvault key set-attributes --vault-name kv-shop --name redis-kek --version " + version + " --enabled true"},
	}
	return waits(a, "reenable-version")
}

func (s shop) accessLost() alert.Alert {
	no := "no role assignment at the key's scope or above gives it to principal " + identity
	a := s.incident("CMK-050", onCluster("shop-cache"), risk.Critical, "the identity cannot use the key: get: "+no+"; unwrap: "+no+"; wrap: "+no)
	a.Impact, a.Event, a.Key = a.Impact[:1], "CmkGuard.AccessLost", keyURL
	a.Actor = actor("Microsoft.Authorization/roleAssignments/delete")
	a.Commands = []alert.Command{
		{Does: "lists the identity's roles on the vault", Line: "az role assignment list --include-inherited --assignee " + identity + " --scope " + vaultID + " --output table"},
		{Does: "gives the access back" + meant, Line: "az role assignment create --role 'Key Vault Crypto Service Encryption User' --assignee-principal-type ServicePrincipal --assignee-object-id " + identity + " --scope " + vaultID},
	}
	return waits(a, "restore-grant")
}

func (s shop) vaultDeleted() alert.Alert {
	a := s.incident("CMK-036", onCluster("shop-cache"), risk.Critical, "the vault kv-shop.vault.azure.net is deleted and can be recovered until "+s.after(90).Format("2006-01-02 15:04 UTC"))
	a.Title, a.By, a.ByMeans = "Vault is deleted: kv-shop (CMK-036)", s.after(90), "until then it can be recovered, after that it is lost"
	a.Actor = actor("Microsoft.KeyVault/vaults/delete")
	a.Commands = []alert.Command{
		{Does: "shows the deleted vault and its purge date", Line: "az keyvault show-deleted --name kv-shop"},
		{Does: "gives the vault back" + meant, Line: "az keyvault recover --name kv-shop"},
	}
	return waits(a, "recover-vault")
}

func (s shop) identityDetached() alert.Alert {
	a := s.incident("CMK-006", onCluster("shop-cache"), risk.Critical, "identity "+group+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-shop is named for encryption but not attached to the cluster (identity type \"None\")")
	a.Impact, a.Actor = a.Impact[:1], actor("Microsoft.Cache/redisEnterprise/write")
	a.Commands = []alert.Command{{Does: "shows who changed the cluster lately", Line: "az monitor activity-log list --offset 2d --resource-id " + clusters + "shop-cache --output table"}}
	return waits(a, "attach-identity")
}

func (s shop) strangerVersion() alert.Alert {
	a := s.incident("CMK-067", key(), risk.Critical, "version "+newer+": no intent of ours names it and the key has no rotation policy with a Rotate action")
	a.Breaks, a.Controls, a.Actor = "caches would be encrypted under key material whose maker nobody recorded", nil, actor("KeyCreate")
	a.Next = []string{"Find out who created the version (Key Vault AuditEvent: KeyCreate, KeyImport, KeyRotate). Clusters are not moved to it by us; Azure Managed Redis adopts it within two hours unless a newer version of yours replaces it."}
	a.Commands = []alert.Command{{Does: "lists the key's versions", Line: "az keyvault key list-versions --vault-name kv-shop --name redis-kek --output table"}}
	return a
}

func (s shop) wrongVersion() alert.Alert {
	a := s.incident("CMK-024", onCluster("sessions-cache"), risk.High, "the cluster uses version "+version+"; the newest enabled one is "+newer+"; it was on the newer one before")
	a.Impact, a.Actor = a.Impact[1:], actor("Microsoft.Cache/redisEnterprise/write")
	a.Commands = []alert.Command{{Does: "shows the cluster's encryption settings", Line: "az resource show --ids " + clusters + "sessions-cache --query properties.encryption"}}
	return waits(a, "roll-back-downgrade")
}

// approvalWanted is the same problem again, told because people have not decided.
func (s shop) approvalWanted() alert.Alert {
	a := s.keyDisabled()
	a.Lifecycle, a.Title, a.Since = alert.Update, "Still: "+a.Title, s.at.Add(-2*hour)
	a.Event, a.Key = "", ""
	a.Done = []string{"reenable-version is held (plan reenable-version~" + hash + "). mode: waits for an approval (compiled ceiling approve): 1 of 2 persons"}
	return a
}

func (s shop) holdReleased() alert.Alert {
	a := s.incident("CMK-000", onCluster("shop-cache"), risk.High, "the tag cmkguard-hold was taken away from cluster shop-cache")
	a.Check, a.Controls, a.Runbook, a.Vault, a.Links = "", nil, "", "", nil
	a.DedupKey, a.Title = "cmkguard/hold/"+partition, "A hold was released: shop-cache"
	a.Breaks = "what the tag held may now be carried out, as far as the policy and people allow it"
	a.Next = []string{"Ask who took it away. To hold again, put the tag back; to hold whatever tags say, use an exemption in the policy."}
	a.Impact, a.Evidence = a.Impact[:1], []string{actor("Microsoft.Cache/redisEnterprise/write")}
	return a
}

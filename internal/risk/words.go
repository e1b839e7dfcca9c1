package risk

// Headline returns what a broken check is called at the head of an alert: the
// problem in a few words, where Title is the question. "" for an unknown check.
func Headline(id string) string {
	for _, words := range []map[string]string{clusterWords(), keyWords(), vaultWords(), accessWords(), estateWords()} {
		if s, ok := words[id]; ok {
			return s
		}
	}
	return ""
}

func clusterWords() map[string]string {
	return map[string]string{
		"CMK-001": "No customer-managed key",
		"CMK-002": "Tier without customer-managed keys",
		"CMK-003": "Tier is being retired",
		"CMK-004": "Cluster is not running, or its last operation failed",
		"CMK-005": "Key URL is malformed or names no version",
		"CMK-006": "Encryption identity is not attached",
		"CMK-007": "Encryption identity is gone or was replaced",
		"CMK-008": "Encryption identity serves others too",
		"CMK-024": "Cluster is not on the newest key version",
		"CMK-065": "Geo-replication member without its own key",
		"CMK-066": "Key does not cover all that is stored",
	}
}

func keyWords() map[string]string {
	return map[string]string{
		"CMK-010": "Key is not there",
		"CMK-011": "Key version in use is disabled",
		"CMK-012": "Key version in use is not valid now",
		"CMK-013": "Key expires soon",
		"CMK-014": "Key is not RSA",
		"CMK-015": "RSA key is too short",
		"CMK-016": "Key's permitted operations are wrong",
		"CMK-017": "Key of sensitive data is not in hardware",
		"CMK-018": "Key version in use has no expiry date",
		"CMK-019": "Key version is too old, or valid for too long",
		"CMK-020": "Key belongs to a certificate",
		"CMK-021": "Nothing rotates the key",
		"CMK-022": "Rotation policy contradicts itself",
		"CMK-023": "Rotation is overdue",
		"CMK-025": "Replaced key version was disabled too early",
		"CMK-026": "Key can no longer be backed up",
		"CMK-028": "Key was copied",
		"CMK-029": "Key can leave its vault",
		"CMK-057": "No sign that the key version is used",
		"CMK-067": "Key version of unknown maker",
	}
}

func vaultWords() map[string]string {
	return map[string]string{
		"CMK-030": "Vault has no soft delete",
		"CMK-031": "Vault has no purge protection",
		"CMK-032": "Deleted keys can be recovered for too short a time",
		"CMK-033": "Vault is in another region than the cluster",
		"CMK-034": "Vault and identity are of two tenants",
		"CMK-035": "Vault holds other things too",
		"CMK-036": "Vault is deleted",
		"CMK-037": "Vault uses access policies",
		"CMK-038": "Vault's firewall keeps the service out",
		"CMK-039": "Vault is open to every network",
		"CMK-040": "Vault's audit log is not kept",
		"CMK-041": "No lock against deletion",
		"CMK-042": "Vault is slow, throttled or away",
		"CMK-043": "Region is not allowed",
	}
}

func accessWords() map[string]string {
	return map[string]string{
		"CMK-027": "Others than break-glass may back up the key",
		"CMK-050": "Identity lost its access to the key",
		"CMK-051": "Identity may do more than it needs",
		"CMK-052": "A deny assignment withholds the key",
		"CMK-053": "Access hangs on a group",
		"CMK-054": "Access hangs on a condition",
		"CMK-055": "Too many can destroy the key",
		"CMK-056": "One principal can change both key and cluster",
	}
}

func estateWords() map[string]string {
	return map[string]string{
		"CMK-060": "Azure Policy: not asked for, or not compliant",
		"CMK-061": "Owner or cost centre is not tagged",
		"CMK-062": "Nobody is told of failures",
		"CMK-063": "Vault's events do not reach us",
		"CMK-064": "Defender for Key Vault is off",
	}
}

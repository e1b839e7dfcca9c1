package risk

import "strings"

// Source is one fact of a wiring: the call that gives it and how often it is made.
type Source struct {
	Fact    string
	Call    string
	Cadence Cadence
	Per     string // what one call covers
}

// Sources returns every fact that checks judge by, with the call behind it.
func Sources() []Source {
	const sig, sweep, daily, logs = CadenceSignal, CadenceSweep, CadenceDaily, CadenceEvent
	return []Source{
		{"cluster", "in a sweep over everything graph pages; arm GET Microsoft.Cache/redisEnterprise otherwise, where a page shows it broken, and wherever a write follows", sig, "page of 1,000 clusters; cluster"},
		{"identity", "in a sweep graph pages; arm GET Microsoft.ManagedIdentity/userAssignedIdentities otherwise and for one that no page shows", sig, "page of 1,000 identities; identity"},
		{"vault", "in a sweep graph pages; graph by host and arm GET Microsoft.KeyVault/vaults otherwise", sig, "page of 1,000 vaults; vault"},
		{"versions", "keyvault GET /keys/{name}/versions", sig, "key"},
		{"inUse", "keyvault GET /keys/{name}/{version}", sig, "key version"},
		{"deleted", "keyvault GET /deletedkeys/{name}; in a sweep only where the key does not answer", sig, "key"},
		{"rotation", "keyvault GET /keys/{name}/rotationpolicy", sig, "key"},
		{"assignments", "in a sweep graph pages; arm GET {key}/providers/Microsoft.Authorization/roleAssignments, assignedTo otherwise and where a group's role may reach the key", sig, "page of 1,000 assignments; key and identity"},
		{"definitions", "in a sweep graph pages; arm GET Microsoft.Authorization/roleDefinitions/{id} otherwise", sig, "page of 1,000 roles; role"},
		{"denies", "arm GET {vault}/providers/Microsoft.Authorization/denyAssignments", sig, "vault"},
		{"sharers", "graph: clusters by key", sweep, "page of 1,000 clusters"},
		{"identityUses", "graph: resources with a user-assigned identity", sweep, "page of 1,000 resources"},
		{"deletedVault", "arm GET Microsoft.KeyVault/deletedVaults, where a vault cannot be seen", sweep, "subscription"},
		{"databases", "arm GET Microsoft.Cache/redisEnterprise/databases", daily, "cluster"},
		{"peers", "arm GET of each other member of the geo-replication group", daily, "member"},
		{"contents", "arm GET {vault}/keys and {vault}/secrets (names only)", daily, "vault, 2 calls"},
		{"diagnostics", "arm GET {vault}/providers/Microsoft.Insights/diagnosticSettings", daily, "vault"},
		{"vaultLocks", "arm GET {subscription}/providers/Microsoft.Authorization/locks", daily, "subscription"},
		{"identityLocks", "arm GET {subscription}/providers/Microsoft.Authorization/locks", daily, "subscription"},
		{"metrics", "arm GET {vault}/providers/Microsoft.Insights/metrics", daily, "vault"},
		{"holders", "graph: authorizationresources, role assignments", daily, "page of 1,000 assignments"},
		{"holderRoles", "graph: authorizationresources, role definitions", daily, "page of 1,000 roles"},
		{"events", "graph: system topics, arm GET {topic}/eventSubscriptions", daily, "vault"},
		{"defender", "arm GET {subscription}/providers/Microsoft.Security/pricings/KeyVaults", daily, "subscription"},
		{"alerting", "graph: activity log alerts; own channels", daily, "page of 1,000 rules"},
		{"policy", "graph: policyresources, states of policy 09aa11bb", daily, "page of 1,000 states"},
		{"use", "Key Vault audit log: KeyUnwrap", logs, "record"},
		{"backups", "Key Vault audit log: KeyBackup, KeyRestore", logs, "record"},
		{"changes", "resource events and audit log", logs, "event"},
	}
}

// factsOf names, by check, the facts without which it is never OK.
func factsOf() map[string][]string {
	out := map[string][]string{}
	for facts, checks := range map[string]string{
		"cluster":                          "CMK-001 CMK-002 CMK-003 CMK-004 CMK-005 CMK-006",
		"cluster identity":                 "CMK-007",
		"cluster identityUses":             "CMK-008",
		"cluster versions":                 "CMK-010 CMK-011 CMK-012 CMK-013 CMK-018 CMK-019 CMK-024 CMK-025 CMK-026",
		"cluster inUse":                    "CMK-014 CMK-015 CMK-016 CMK-017 CMK-020 CMK-029",
		"cluster rotation":                 "CMK-021 CMK-022",
		"cluster rotation versions":        "CMK-023",
		"cluster vault":                    "CMK-030 CMK-031 CMK-032 CMK-033 CMK-036 CMK-037 CMK-038 CMK-039 CMK-043",
		"cluster identity vault":           "CMK-034",
		"cluster contents":                 "CMK-035",
		"cluster diagnostics":              "CMK-040",
		"cluster vaultLocks identityLocks": "CMK-041",
		"cluster metrics":                  "CMK-042",
		"cluster identity vault assignments definitions denies": "CMK-050",
		"cluster identity vault assignments definitions":        "CMK-051 CMK-053 CMK-054",
		"cluster identity vault denies":                         "CMK-052",
		"cluster vault holders holderRoles":                     "CMK-027 CMK-055 CMK-056",
		"cluster use":                                           "CMK-057",
		"cluster policy":                                        "CMK-060",
		"cluster vault versions":                                "CMK-061",
		"cluster alerting":                                      "CMK-062",
		"cluster events":                                        "CMK-063",
		"cluster defender":                                      "CMK-064",
		"cluster databases":                                     "CMK-065 CMK-066",
		"cluster backups":                                       "CMK-028",
		"cluster changes":                                       "CMK-067",
	} {
		for _, id := range strings.Fields(checks) {
			out[id] = strings.Fields(facts)
		}
	}
	return out
}

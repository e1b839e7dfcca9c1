package wiring

// OwnIdentity is one of this installation's own identities and what it was given.
type OwnIdentity struct {
	Role     string       `json:"role"`     // "observer" or "remediator"
	ClientID string       `json:"clientId"` // of the settings; "": whoever the environment signs in
	Object   Fact[string] `json:"object"`   // its object id in the directory
	// Grants are its role assignments at, above and below the watched subscriptions,
	// those of its groups included.
	Grants Fact[[]OwnGrant] `json:"grants"`
	// Policies are the access policies that name it in the watched vaults that go by them.
	Policies Fact[[]OwnPolicy] `json:"policies"`
}

// OwnGrant is one role assignment with its role.
type OwnGrant struct {
	Assignment RoleAssignment       `json:"assignment"`
	Role       Fact[RoleDefinition] `json:"role"`
}

// OwnPolicy is one access policy of a vault.
type OwnPolicy struct {
	Vault string   `json:"vault"` // its ARM id
	Keys  []string `json:"keys"`  // key permissions, as given
}

package wiring

// Need is a right that somebody must hold at a scope.
type Need struct {
	For    string `json:"for"`   // the remedy that needs it
	Scope  string `json:"scope"` // ARM id, or a key's scope
	Action string `json:"action"`
	Data   bool   `json:"data"` // a data action
	// Permission is the same in an access policy of the vault; only of a data action.
	Permission string `json:"permission,omitempty"`
}

// Lack is a need that nothing gives.
type Lack struct {
	Need
	Why string `json:"why"`
}

// Hands is what a principal may do of what it needs.
type Hands struct {
	Principal string `json:"principal"`
	Needs     int    `json:"needs"` // different ones that were asked
	Lacks     []Lack `json:"lacks"`
	// Unsure are needs that something might give: a group whose members are not
	// known, a condition, a vault that was not read. UnsureWhy is of the first.
	Unsure    int    `json:"unsure"`
	UnsureWhy string `json:"unsureWhy,omitempty"`
}

// Grip is whether somebody holds what is needed: he does, unless No or Maybe.
type Grip struct {
	No    bool // nothing gives it
	Maybe bool // something might
	Why   string
}

// HandsJudge knows what is needed and who holds it.
type HandsJudge interface {
	// Needs names what is needed for one cluster and its key's vault.
	Needs(c Cluster, v Vault) []Need
	Holds(n Need, principal string, v Vault, assignments []RoleAssignment, roles map[string]RoleDefinition) Grip
}

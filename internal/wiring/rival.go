package wiring

// Rival is a principal, not ours, that holds a remediator's role somewhere.
type Rival struct {
	Principal string `json:"principal"`
	Role      string `json:"role"`
	Scope     string `json:"scope"`
}

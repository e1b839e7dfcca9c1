package risk

import "cmkguard/internal/event"

// The families of checks.
const (
	FamilyCluster  = "cluster"
	FamilyIdentity = "identity"
	FamilyKey      = "key"
	FamilyVersion  = "version"
	FamilyRotation = "rotation"
	FamilyVault    = "vault"
	FamilyAccess   = "access"
)

// Names of the remedies that verdicts propose. internal/plan decides whether
// one runs.
const (
	remedyRotate     = "rotate"
	remedyRewire     = "rewire"
	remedySetPolicy  = "set-rotation-policy"
	remedyRecoverKey = "recover-key"
	remedyReenable   = "reenable-version"
	remedyGrant      = "restore-grant"
	remedyAttach     = "attach-identity"
	remedyKeyOps     = "fix-key-ops"
	remedyPurgeGuard = "enable-purge-protection"
	remedyNone       = ""
)

// Azure's own words that checks compare with.
const (
	everybodyDenied   = "00000000-0000-0000-0000-000000000000" // principal of a deny assignment for everybody
	managedHSMInHost  = ".managedhsm."
	userAssignedCMK   = "userAssignedIdentity" // in the encryption settings
	userAssignedInARM = "UserAssigned"         // in the resource's identity
)

// Check is one question of the catalogue.
type Check struct {
	ID          string            `json:"id"` // CMK-004...
	Title       string            `json:"title"`
	Family      string            `json:"family"`
	Severity    Severity          `json:"severity"` // before the cluster's tags make it heavier
	SubjectKind event.SubjectKind `json:"subjectKind"`
	Remedy      string            `json:"remedy,omitempty"` // the usual one; a verdict may name another or none
	Breaks      string            `json:"breaks"`           // what breaks if it stays
	Guidance    string            `json:"guidance"`         // what a person does
}

// spec joins a check to the function that answers it.
type spec struct {
	Check
	judge func(*scene) finding
}

// Catalogue returns every check in the order of Evaluate's verdicts. The slice
// is the caller's.
func Catalogue() []Check {
	specs := catalogue()
	out := make([]Check, len(specs))
	for i, s := range specs {
		out[i] = s.Check
	}
	return out
}

// catalogue lists the checks by ascending id; each family's file holds its own.
func catalogue() []spec {
	return []spec{
		checkClusterState(), checkKeyURL(), checkIdentityAttached(), checkIdentityExists(),
		checkKeyExists(), checkVersionEnabled(), checkVersionValid(), checkExpiryNear(),
		checkKeyType(), checkKeyOps(), checkExpirySet(), checkRotationPolicy(),
		checkNewestVersion(), checkEarlyDisable(), checkSoftDelete(), checkPurgeProtection(),
		checkRegion(), checkAccess(),
	}
}

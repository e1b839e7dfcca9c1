package risk

import (
	"slices"
	"sync"

	"cmkguard/internal/event"
)

// The families of checks.
const (
	FamilyCluster  = "cluster"
	FamilyIdentity = "identity"
	FamilyKey      = "key"
	FamilyVersion  = "version"
	FamilyRotation = "rotation"
	FamilyVault    = "vault"
	FamilyAccess   = "access"
	FamilyWatch    = "watch"      // who would notice: logs, alerts, locks, events
	FamilyPolicy   = "governance" // rules of the estate: tags, policies, tiers
	FamilyUse      = "use"        // what events and logs say of the key's use
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
	remedyBypass     = "open-trusted-bypass"
	remedyVault      = "recover-vault"
	remedyLogs       = "restore-diagnostics"
	remedyEvents     = "recreate-event-subscription"
	remedyRollBack   = "roll-back-downgrade"
	remedyNone       = ""
)

// Azure's own words that checks compare with.
const (
	everybodyDenied   = "00000000-0000-0000-0000-000000000000" // principal of a deny assignment for everybody
	managedHSMInHost  = ".managedhsm."
	userAssignedCMK   = "userAssignedIdentity" // in the encryption settings
	userAssignedInARM = "UserAssigned"         // in the resource's identity
)

// Check is one question of the catalogue. Cadence, Facts and Controls are set in
// what Catalogue returns.
type Check struct {
	ID          string            `json:"id"` // CMK-004...
	Title       string            `json:"title"`
	Family      string            `json:"family"`
	Severity    Severity          `json:"severity"` // before the cluster's tags make it heavier
	SubjectKind event.SubjectKind `json:"subjectKind"`
	Remedy      string            `json:"remedy,omitempty"` // the usual one; a verdict may name another or none
	Breaks      string            `json:"breaks"`           // what breaks if it stays
	Guidance    string            `json:"guidance"`         // what a person does: the runbook
	Cadence     Cadence           `json:"cadence"`
	WithoutKey  bool              `json:"withoutKey,omitempty"` // asked of clusters without a customer-managed key too
	Facts       []string          `json:"facts"`                // names of the facts that it judges by
	Controls    []Control         `json:"controls"`             // vendors' mappings: have an assessor confirm
}

// spec joins a check to the function that answers it.
type spec struct {
	Check
	judge func(*scene) finding
}

// Catalogue returns every check by ascending id, whole. The slice is the
// caller's.
func Catalogue() []Check {
	specs := catalogue()
	facts, controls := factsOf(), controlsOf()
	out := make([]Check, len(specs))
	for i, s := range specs {
		out[i] = s.Check
		out[i].Facts, out[i].Controls = facts[s.ID], controls[s.ID]
	}
	return out
}

// Find returns the check of the id, whole.
func Find(id string) (Check, bool) {
	c, ok := byID()[id]
	c.Facts, c.Controls = slices.Clone(c.Facts), slices.Clone(c.Controls)
	return c, ok
}

// byID is the catalogue for Find, which every alert asks several times.
//
//nolint:gochecknoglobals // made once, and changed by nobody
var byID = sync.OnceValue(func() map[string]Check {
	out := map[string]Check{}
	for _, c := range Catalogue() {
		out[c.ID] = c
	}
	return out
})

// catalogue lists the checks by ascending id; each family's file holds its own.
func catalogue() []spec {
	all := []spec{
		checkSensitiveHasKey(), checkTierSupports(), checkTierRetires(), checkClusterState(), checkKeyURL(),
		checkIdentityAttached(), checkIdentityExists(), checkIdentityShared(),
		checkKeyExists(), checkVersionEnabled(), checkVersionValid(), checkExpiryNear(), checkKeyType(),
		checkKeySize(), checkKeyOps(), checkKeyHSM(), checkExpirySet(), checkKeyAge(), checkKeyManaged(),
		checkRotationPolicy(), checkPolicySane(), checkAdherence(), checkNewestVersion(), checkEarlyDisable(),
		checkVersionCount(), checkBackupRights(), checkBackups(), checkKeyStays(),
		checkSoftDelete(), checkPurgeProtection(), checkRetention(), checkRegion(), checkTenant(),
		checkDedicated(), checkVaultLive(), checkVaultModel(), checkNetworkPath(), checkFirewall(),
		checkDiagnostics(), checkLocks(), checkVaultHealth(), checkRegions(),
		checkAccess(), checkLeastRights(), checkNotDenied(), checkNotByGroup(), checkNoCondition(),
		checkKeyAdmins(), checkSeparation(), checkProofOfUse(),
		checkAzurePolicy(), checkTags(), checkAlerting(), checkEvents(), checkDefender(), checkGeoPeers(),
		checkCoverage(), checkKnownActors(),
	}
	for i := range all {
		if all[i].Cadence == "" {
			all[i].Cadence = CadenceSignal
		}
	}
	return all
}

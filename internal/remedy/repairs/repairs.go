// Package repairs is the list of the repairs, most of which people decide: each
// by its name, over the clients that read and write.
//
// It decides nothing: a remedy that is not in the list is not done.
package repairs

import (
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/remedy/attachidentity"
	"cmkguard/internal/remedy/enablepurgeprotection"
	"cmkguard/internal/remedy/fixkeyops"
	"cmkguard/internal/remedy/opentrustedbypass"
	"cmkguard/internal/remedy/quarantine"
	"cmkguard/internal/remedy/recoverkey"
	"cmkguard/internal/remedy/recovervault"
	"cmkguard/internal/remedy/recreateevents"
	"cmkguard/internal/remedy/reenableversion"
	"cmkguard/internal/remedy/restorediagnostics"
	"cmkguard/internal/remedy/restoregrant"
	"cmkguard/internal/remedy/rewire"
	"cmkguard/internal/remedy/rollbackdowngrade"
	"cmkguard/internal/remedy/setrotationpolicy"
)

// Keys are the data plane of Key Vault.
type Keys interface {
	recoverkey.Vault
	reenableversion.Vault
	fixkeyops.Vault
	setrotationpolicy.Vault
	quarantine.Keys
}

// Clusters are the Redis clusters.
type Clusters interface {
	rewire.Clusters
	attachidentity.Clusters
	quarantine.Clusters
}

// Vaults are vaults and the grants on them.
type Vaults interface {
	restoregrant.Grants
	restoregrant.Policies
	opentrustedbypass.Vaults
	enablepurgeprotection.Vaults
	recovervault.Vaults
}

// Ears are what tells us of vaults.
type Ears interface {
	restorediagnostics.Logs
	recreateevents.Events
}

// Over returns the effects by the kind of step, which is the repair's name where it
// has but one.
func Over(k Keys, c Clusters, v Vaults, e Ears) map[string]func(p plan.Plan, partition string) (remedy.Effect, error) {
	return map[string]func(p plan.Plan, partition string) (remedy.Effect, error){
		plan.RecoverKey:            func(p plan.Plan, at string) (remedy.Effect, error) { return recoverkey.Effect(k, p, at), nil },
		plan.ReenableVersion:       func(p plan.Plan, at string) (remedy.Effect, error) { return reenableversion.Effect(k, p, at), nil },
		plan.FixKeyOps:             func(p plan.Plan, at string) (remedy.Effect, error) { return fixkeyops.Effect(k, p, at), nil },
		plan.RestoreGrant:          func(p plan.Plan, at string) (remedy.Effect, error) { return restoregrant.Effect(v, v, p, at) },
		plan.AttachIdentity:        func(p plan.Plan, at string) (remedy.Effect, error) { return attachidentity.Effect(c, p, at) },
		plan.OpenTrustedBypass:     func(p plan.Plan, at string) (remedy.Effect, error) { return opentrustedbypass.Effect(v, p, at) },
		plan.EnablePurgeProtection: func(p plan.Plan, at string) (remedy.Effect, error) { return enablepurgeprotection.Effect(v, p, at) },
		plan.RecoverVault:          func(p plan.Plan, at string) (remedy.Effect, error) { return recovervault.Effect(v, p, at) },
		plan.SetRotationPolicy:     func(p plan.Plan, at string) (remedy.Effect, error) { return setrotationpolicy.Effect(k, p, at) },
		plan.RestoreDiagnostics:    func(p plan.Plan, at string) (remedy.Effect, error) { return restorediagnostics.Effect(e, p, at) },
		plan.RecreateEvents:        func(p plan.Plan, at string) (remedy.Effect, error) { return recreateevents.Effect(e, p, at) },
		string(plan.StepTopic):     func(p plan.Plan, at string) (remedy.Effect, error) { return recreateevents.Topic(e, p, at) },
		string(plan.StepCreateKey): func(p plan.Plan, at string) (remedy.Effect, error) { return quarantine.Create(k, p, at) },
		string(plan.StepMove):      func(p plan.Plan, at string) (remedy.Effect, error) { return quarantine.Move(c, p, at) },
		plan.RollBackDowngrade:     func(p plan.Plan, at string) (remedy.Effect, error) { return rollbackdowngrade.Effect(c, p, at) },
	}
}

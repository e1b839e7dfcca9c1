package plan

import "cmkguard/internal/policy"

// The remedies of this build.
const (
	Rotate = "rotate" // make a new version of a key, then let every consumer follow
	Rewire = "rewire" // point one cluster at a version whose origin is known

	// SetRotationPolicy gives a key a rotation policy: from then on Key Vault rotates it.
	SetRotationPolicy = "set-rotation-policy"

	RestoreDiagnostics = "restore-diagnostics"         // send a vault's audit log to where the policy says
	RecreateEvents     = "recreate-event-subscription" // have a vault's events lead to us

	RecoverKey            = "recover-key"             // bring a soft-deleted key back
	ReenableVersion       = "reenable-version"        // enable the version that a cluster uses
	FixKeyOps             = "fix-key-ops"             // permit wrapKey and unwrapKey again
	RestoreGrant          = "restore-grant"           // give the identity its role on the key again
	AttachIdentity        = "attach-identity"         // attach the encryption identity to its cluster again
	OpenTrustedBypass     = "open-trusted-bypass"     // let trusted services through the vault's firewall
	EnablePurgeProtection = "enable-purge-protection" // protect a vault's deleted keys from being purged
	RecoverVault          = "recover-vault"           // bring a soft-deleted vault back
	Quarantine            = "quarantine-compromised"  // move a key's clusters to a new key in another vault
	RollBackDowngrade     = "roll-back-downgrade"     // point a cluster that went back to an older version at the newer one

	Undo = "undo" // take back what another plan of ours did to clusters, when people ask for it
)

// Ceilings returns the compiled ceiling per remedy. A policy can only lower it.
// What may have been taken away on purpose is given back by a person only.
func Ceilings() map[string]policy.Mode {
	return map[string]policy.Mode{
		Rotate: policy.Auto, Rewire: policy.Auto, SetRotationPolicy: policy.Auto, RestoreDiagnostics: policy.Auto, RecreateEvents: policy.Auto,
		RecoverKey: policy.Approve, ReenableVersion: policy.Approve, FixKeyOps: policy.Approve, RestoreGrant: policy.Approve,
		AttachIdentity: policy.Approve, OpenTrustedBypass: policy.Approve, EnablePurgeProtection: policy.Approve,
		RecoverVault: policy.Approve, RollBackDowngrade: policy.Approve, Undo: policy.Approve, Quarantine: policy.Approve,
	}
}

// ByItself reports whether a policy may let the remedy run by itself.
func ByItself(remedy string) bool { return Ceilings()[remedy] == policy.Auto }

// Repair reports whether the remedy mends one thing, mostly by one effect; the others move a
// key and its clusters forward, or back.
func Repair(remedy string) bool {
	return remedy != Rotate && remedy != Rewire && remedy != Undo && Ceilings()[remedy] != ""
}

// Moves reports whether the remedy changes a cluster or, with a new version that a
// managed cache takes up by itself, leads to that.
func Moves(remedy string) bool {
	switch remedy {
	case Rotate, Rewire, RollBackDowngrade, AttachIdentity, Undo, Quarantine:
		return true
	}
	return false
}

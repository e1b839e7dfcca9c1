package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// RoleEncryptionUser is Key Vault Crypto Service Encryption User: get, wrap and
// unwrap of keys (learn.microsoft.com, built-in roles, security).
const RoleEncryptionUser = "e147488a-f6f5-4113-8e2d-b22465e65bf6"

// ForRepair makes the plan of a repair from the chain that shows the problem,
// f.Wirings[0], or says why there is none. The plan belongs to one life of one
// problem: its id, its hash and its once-only key are those of the subject and
// of when the problem was opened (f.Since), so that looking again changes
// nothing, and the same problem of another month is another plan.
func ForRepair(remedy string, subject event.Subject, f Facts, policyHash string) (Plan, string) {
	if len(f.Wirings) == 0 {
		return Plan{}, "no chain was read"
	}
	since := f.Since.UTC().Format(time.RFC3339Nano)
	p := Plan{
		Schema: 1, Remedy: remedy, Subject: subject, Key: f.Key, Created: f.Since.UTC(), PolicyHash: policyHash,
		ID:           store.Name(remedy, subject.ID+"|"+since),
		ConsumersAll: f.Consumers.Complete, ConsumersWhy: f.Consumers.Why,
	}
	p.Consumers = touchedBy(p, f)
	var why string
	if p.Steps, p.To, why = repairSteps(remedy, f); why != "" {
		return Plan{}, why
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Kind == "" {
			s.Kind, s.Key = StepKind(remedy), EffectKey(remedy, subject.ID, since)
			continue
		}
		s.Key = EffectKey(string(s.Kind), subject.ID+"|"+s.Target, since)
	}
	return p, ""
}

// repairSteps are the repair's steps, in order. Most have one, whose kind is the
// remedy's name.
func repairSteps(remedy string, f Facts) (steps []Step, to azureid.Key, why string) {
	if remedy == RecreateEvents {
		steps, why = eventSteps(f, f.Wirings[0])
		return steps, to, why
	}
	if remedy == Quarantine {
		steps, why = quarantineSteps(f)
		return steps, f.To.Base(), why
	}
	s, to, why := repairStep(remedy, f)
	return []Step{s}, to, why
}

// touchedBy are the consumers that a repair touches. Those of a vault are named by
// id alone: what else was read of them depends on whose look it was.
func touchedBy(p Plan, f Facts) []Consumer {
	var out []Consumer
	if Deaf(p.Remedy) {
		return nil
	}
	for _, c := range sortedConsumers(clustersOf(p, f)) {
		if p.Subject.Kind == event.SubjectVault {
			c = wiring.Cluster{ID: c.ID}
		}
		out = append(out, consumerOf(c))
	}
	if p.Subject.Kind == event.SubjectVault {
		slices.SortFunc(out, func(a, b Consumer) int {
			return strings.Compare(strings.ToLower(a.Cluster), strings.ToLower(b.Cluster))
		})
	}
	return out
}

func repairStep(remedy string, f Facts) (s Step, to azureid.Key, why string) {
	w := f.Wirings[0]
	switch remedy {
	case RecoverKey:
		s, why = recoverKeyStep(f.Key, w)
	case ReenableVersion:
		s = Step{
			Target: f.Key.String(), From: "disabled", To: "enabled", Call: "PATCH " + f.Key.String() + " (attributes.enabled: true)",
			ReadBack: "GET " + f.Key.Base().String() + "/versions shows the version enabled",
			Undo:     Irreversible + ": disabling a version is its owner's",
		}
	case SetRotationPolicy:
		s, why = rotationStep(f, w)
	case RestoreDiagnostics:
		s, why = diagnosticsStep(f, w)
	case FixKeyOps:
		s, why = keyOpsStep(f.Key, w)
	case RestoreGrant:
		s, why = grantStep(f, w)
	case AttachIdentity:
		s, why = attachStep(w)
	case OpenTrustedBypass, EnablePurgeProtection:
		s, why = vaultStep(remedy, w)
	case RecoverVault:
		s, why = recoverVaultStep(w)
	case RollBackDowngrade:
		s, to, why = rollBackStep(f, w)
	default:
		why = "no such repair"
	}
	return s, to, why
}

func recoverKeyStep(k azureid.Key, w wiring.Wiring) (Step, string) {
	d := w.Deleted
	if !d.OK() {
		return Step{}, "the deleted key was not read: " + d.Why
	}
	return Step{
		Target: k.ID(), From: "deleted " + d.Value.DeletedAt.UTC().Format(time.RFC3339), To: "live",
		Call:     "POST " + k.VaultURL() + "deletedkeys/" + k.Name + "/recover",
		ReadBack: "GET " + k.Base().String() + "/versions answers with the version in use",
		Undo:     Irreversible + ": deleting a key is its owner's",
	}, ""
}

func keyOpsStep(k azureid.Key, w wiring.Wiring) (Step, string) {
	if !w.InUse.OK() {
		return Step{}, "the version in use was not read: " + w.InUse.Why
	}
	have := w.InUse.Value.Ops
	want := slices.Clone(have)
	for _, op := range []string{"wrapKey", "unwrapKey"} {
		if !slices.ContainsFunc(have, func(o string) bool { return strings.EqualFold(o, op) }) {
			want = append(want, op)
		}
	}
	return Step{
		Target: k.String(), From: strings.Join(have, ","), To: strings.Join(want, ","), Call: "PATCH " + k.String() + " (key_ops)",
		ReadBack: "GET " + k.String() + " permits wrapKey and unwrapKey",
		Undo:     Irreversible + ": taking operations away is its owner's; they were: " + orSelf(strings.Join(have, ", "), "none"),
	}, ""
}

func attachStep(w wiring.Wiring) (Step, string) {
	if !w.Cluster.OK() || w.Cluster.Value.CMK == nil || w.Cluster.Value.CMK.IdentityID.IsZero() {
		return Step{}, "the cluster names no identity for its key"
	}
	c := w.Cluster.Value
	return Step{
		Target: c.ID.String(), From: "not attached", To: c.CMK.IdentityID.String(),
		Call:     "PATCH " + c.ID.String() + " (identity: the whole present map and this one)",
		ReadBack: "GET " + c.ID.String() + " lists the identity, with resourceState Running",
		Undo:     Irreversible + ": detaching an identity is its owner's",
	}, ""
}

func vaultStep(remedy string, w wiring.Wiring) (Step, string) {
	if !w.Vault.OK() {
		return Step{}, "the vault was not read: " + w.Vault.Why
	}
	v := w.Vault.Value
	if remedy == EnablePurgeProtection {
		return Step{
			Target: v.ID.String(), From: "off", To: "on", Call: "PATCH " + v.ID.String() + " (enablePurgeProtection: true)",
			ReadBack: "GET " + v.ID.String() + " shows enablePurgeProtection",
			Undo:     Irreversible + ": Azure never lets purge protection be switched off",
		}, ""
	}
	return Step{
		Target: v.ID.String(), From: orSelf(v.Bypass, "None"), To: "AzureServices",
		Call:     "PATCH " + v.ID.String() + " (networkAcls as they are, bypass: AzureServices)",
		ReadBack: "GET " + v.ID.String() + " shows bypass AzureServices, and default action " + orSelf(v.DefaultAction, "unset") + " as before",
		Undo:     Irreversible + ": closing a firewall is its owner's; bypass was " + orSelf(v.Bypass, "None"),
	}, ""
}

func recoverVaultStep(w wiring.Wiring) (Step, string) {
	d := w.Posture.DeletedVault
	if !d.OK() {
		return Step{}, "the deleted vault was not read: " + d.Why
	}
	if w.Identity.Value.TenantID == "" {
		return Step{}, "the tenant was not read: " + w.Identity.Why
	}
	id := d.Value.ID
	return Step{
		Target: id.String(), From: "deleted " + d.Value.DeletedAt.UTC().Format(time.RFC3339), To: "live",
		Call:     "PUT " + id.String() + " (createMode: recover)",
		Args:     map[string]string{"location": d.Value.Location, "tenantId": w.Identity.Value.TenantID},
		ReadBack: "GET " + id.String() + " answers. Role assignments and event subscriptions do not come back with it: each is an incident of its own",
		Undo:     Irreversible + ": deleting a vault is its owner's",
	}, ""
}

func rollBackStep(f Facts, w wiring.Wiring) (Step, azureid.Key, string) {
	newest, ok := wiring.Newest(f.Versions.Value)
	switch {
	case !w.Cluster.OK() || w.Cluster.Value.CMK == nil:
		return Step{}, azureid.Key{}, "the cluster was not read"
	case !ok || !newest.Enabled || newest.Key.Equal(f.Key):
		return Step{}, azureid.Key{}, fmt.Sprintf("there is no newer, enabled version than %s", f.Key.Version)
	}
	s := followStep(w.Cluster.Value, f.Key.Version, newest.Key.Version)
	s.Kind, s.Call, s.Undo = "", patchCall(w.Cluster.Value), "PATCH the cluster back to version "+f.Key.Version+", by a person"
	return s, newest.Key, ""
}

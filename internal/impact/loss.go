package impact

import (
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// call marks the facts that a loss makes up.
const call = "supposed"

// Key is the loss of a key: deleted now, kept for the vault's retention.
func Key(w wiring.Wiring, now time.Time) wiring.Wiring {
	const why = "supposed to be deleted"
	w.Versions = wiring.NotThere[[]wiring.KeyVersion](call, now, why)
	w.InUse = wiring.NotThere[wiring.KeyBundle](call, now, why)
	w.Rotation = wiring.NotThere[wiring.RotationPolicy](call, now, why)
	d := wiring.DeletedKey{Key: w.Key().Base(), DeletedAt: now}
	if w.Vault.OK() && w.Vault.Value.RetentionDays > 0 {
		d.PurgeAt = now.AddDate(0, 0, w.Vault.Value.RetentionDays)
	}
	w.Deleted = wiring.Read(d, call, now)
	return w
}

// Version returns the loss of one version: disabled.
func Version(k azureid.Key) Loss {
	return func(w wiring.Wiring, now time.Time) wiring.Wiring {
		if !w.Versions.OK() {
			return w
		}
		list := slices.Clone(w.Versions.Value)
		for i := range list {
			if list[i].Key.Equal(k) {
				list[i].Enabled, list[i].Updated = false, now
			}
		}
		w.Versions.Value = list
		if w.InUse.OK() && w.Key().Equal(k) {
			w.InUse.Value.Enabled = false
		}
		return w
	}
}

// Vault is the loss of a vault with all of its keys.
func Vault(w wiring.Wiring, now time.Time) wiring.Wiring {
	const why = "its vault is supposed to be deleted"
	d := wiring.DeletedVault{DeletedAt: now}
	if w.Vault.OK() {
		v := w.Vault.Value
		d.ID, d.Location, d.Protected = v.ID, v.Location, v.PurgeProtection
		if v.RetentionDays > 0 {
			d.PurgeAt = now.AddDate(0, 0, v.RetentionDays)
		}
	}
	w.Vault = wiring.NotThere[wiring.Vault](call, now, why)
	w.Versions = wiring.Failed[[]wiring.KeyVersion](call, now, why)
	w.InUse = wiring.Failed[wiring.KeyBundle](call, now, why)
	w.Deleted = wiring.Failed[wiring.DeletedKey](call, now, why)
	w.Posture.DeletedVault = wiring.Read(d, call, now)
	return w
}

// Identity is the loss of the encryption identity.
func Identity(w wiring.Wiring, now time.Time) wiring.Wiring {
	w.Identity = wiring.NotThere[wiring.Identity](call, now, "supposed to be deleted")
	return w
}

// Assignment returns the loss of one role assignment. Whoever holds another that
// is enough keeps its access.
func Assignment(id string) Loss {
	return func(w wiring.Wiring, _ time.Time) wiring.Wiring {
		if !w.Assignments.OK() {
			return w
		}
		w.Assignments.Value = slices.DeleteFunc(slices.Clone(w.Assignments.Value), func(a wiring.RoleAssignment) bool { return strings.EqualFold(a.ID, id) })
		return w
	}
}

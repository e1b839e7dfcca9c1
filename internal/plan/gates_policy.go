package plan

import (
	"time"

	"cmkguard/internal/wiring"
)

// forRotationPolicy are the gates of set-rotation-policy beside those of every
// repair: what it writes makes Key Vault rotate by itself from then on, so every
// consumer must be one that may be rotated, and can follow.
func forRotationPolicy() []gate {
	return []gate{gateConsumers, gateFollow, gateMaterial, gateSettled, gateFirstRotation}
}

// gateSettled holds while a version lies on top that not every consumer uses. Its
// maker is told by the rotation policy that made it, which would be gone.
func gateSettled(_ Plan, f Facts, _ Inputs) Ruling {
	const name = "settled"
	newest, ok := wiring.Newest(f.Versions.Value)
	if !f.Versions.OK() || !ok {
		return hold(name, "the versions could not be read: %s", f.Versions.Why)
	}
	for _, c := range f.Consumers.Clusters {
		if c.CMK == nil || !c.CMK.Key.Equal(newest.Key) {
			return hold(name, "%s does not use the newest version %s yet", c.Name, newest.Key.Version)
		}
	}
	return allow(name, "every consumer uses the newest version %s", newest.Key.Version)
}

// gateFirstRotation holds where Key Vault would rotate as soon as the policy is
// set: nobody would know that version by its time, and no cluster be moved to it.
func gateFirstRotation(p Plan, f Facts, in Inputs) Ruling {
	const name = "first-rotation"
	newest, ok := wiring.Newest(f.Versions.Value)
	next, err := DecodeRotation(p.Steps[0].To)
	if err != nil || !ok {
		return hold(name, "when Key Vault would rotate first is not known")
	}
	due, ok := RotationDue(newest, next)
	if !ok {
		return hold(name, "when Key Vault would rotate version %s first cannot be told", newest.Key.Version)
	}
	if guard := in.Policy.Limits.RotationDueGuard; due.Sub(in.Now) < guard {
		return hold(name, "version %s is %s old: Key Vault would rotate it %s, sooner than %s from now. Rotate the key first, then set the policy",
			newest.Key.Version, days(in.Now.Sub(newest.Created)), due.UTC().Format(time.DateOnly), days(guard))
	}
	return allow(name, "Key Vault would first rotate on %s", due.UTC().Format(time.DateOnly))
}

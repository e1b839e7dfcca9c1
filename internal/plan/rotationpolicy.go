package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// NoRotationPolicy is the From of a key that has none.
const NoRotationPolicy = "none"

// rotationStep gives the key the policy file's rotation policy, and keeps what the
// key has and is sound. From and To are the policies whole: what an undo needs.
func rotationStep(f Facts, w wiring.Wiring) (Step, string) {
	have := w.Rotation
	newest, ok := wiring.Newest(w.Versions.Value)
	switch {
	case !f.Declared.Rotation.Set():
		return Step{}, "the policy does not say what a rotation policy is to be: set rotationPolicy"
	case !have.OK() && have.State != wiring.Absent:
		return Step{}, "the rotation policy was not read: " + have.Why
	case !ok:
		return Step{}, "the key's versions were not read: " + w.Versions.Why
	}
	next := mergeRotation(have.Value, f.Declared.Rotation, newest.Created)
	if have.OK() && SameRotation(have.Value, next) {
		return Step{}, "the key's rotation policy is sound; it gives new versions what is missing"
	}
	from, to := NoRotationPolicy, encodeRotation(next)
	if have.OK() {
		from = encodeRotation(have.Value)
	}
	k := f.Key.Base()
	return Step{
		Target: k.ID(), From: from, To: to,
		Call:     "PUT " + k.String() + "/rotationpolicy",
		ReadBack: "GET " + k.String() + "/rotationpolicy shows it. From then on Key Vault rotates the key by itself" + whenFirst(newest, next),
		Undo:     undoRotation(k, from),
	}, ""
}

func whenFirst(newest wiring.KeyVersion, p wiring.RotationPolicy) string {
	if due, ok := RotationDue(newest, p); ok {
		return ", first on " + due.UTC().Format(time.DateOnly)
	}
	return ""
}

func undoRotation(k azureid.Key, from string) string {
	if from == NoRotationPolicy {
		from = encodeRotation(wiring.RotationPolicy{})
	}
	return "PUT " + k.String() + "/rotationpolicy as it was: " + from
}

// mergeRotation changes as little as makes the policy sound: what is missing first,
// then the Rotate action, the expiry time, both, and the whole last.
func mergeRotation(have wiring.RotationPolicy, want policy.Rotation, at time.Time) wiring.RotationPolicy {
	rotate, hasRotate := actionOf(have, "Rotate")
	notify, hasNotify := actionOf(have, "Notify")
	ourRotate := wiring.RotationAction{Type: "Rotate", TimeAfterCreate: want.RotateAfter}
	ourNotify := wiring.RotationAction{Type: "Notify", TimeBeforeExpiry: want.NotifyBefore}
	expiry := have.ExpiryTime
	if expiry == "" {
		expiry = want.ExpiryTime
	}
	if !hasRotate {
		rotate = ourRotate
	}
	if !hasNotify {
		notify = ourNotify
	}
	for _, p := range []wiring.RotationPolicy{
		{ExpiryTime: expiry, Actions: []wiring.RotationAction{rotate, notify}},
		{ExpiryTime: expiry, Actions: []wiring.RotationAction{ourRotate, notify}},
		{ExpiryTime: want.ExpiryTime, Actions: []wiring.RotationAction{rotate, notify}},
		{ExpiryTime: want.ExpiryTime, Actions: []wiring.RotationAction{ourRotate, notify}},
	} {
		if soundRotation(p, at) {
			return p
		}
	}
	return wiring.RotationPolicy{ExpiryTime: want.ExpiryTime, Actions: []wiring.RotationAction{ourRotate, ourNotify}}
}

// soundRotation reports whether Key Vault would take the policy, rotate by it, and
// announce an expiry that lies after the version's creation.
func soundRotation(p wiring.RotationPolicy, at time.Time) bool {
	rotate, _ := actionOf(p, "Rotate")
	notify, _ := actionOf(p, "Notify")
	_, triggered := AddISO(at, rotate.TimeAfterCreate+rotate.TimeBeforeExpiry, 1)
	expires, ok := AddISO(at, p.ExpiryTime, 1)
	if !ok || !triggered || len(risk.PolicyProblems(p, at)) > 0 {
		return false
	}
	if t, ok := AddISO(expires, notify.TimeBeforeExpiry, -1); ok {
		return t.After(at)
	}
	t, ok := AddISO(at, notify.TimeAfterCreate, 1)
	return ok && t.Before(expires)
}

func actionOf(p wiring.RotationPolicy, typ string) (wiring.RotationAction, bool) {
	at := slices.IndexFunc(p.Actions, func(a wiring.RotationAction) bool { return strings.EqualFold(a.Type, typ) })
	if at < 0 {
		return wiring.RotationAction{}, false
	}
	a := p.Actions[at]
	a.Type = typ // the data plane's letters; the control plane has small ones
	return a, true
}

// SameRotation reports whether two policies say the same: whatever the order and
// the letters of their actions, and however a duration is written (P1Y, P12M).
func SameRotation(a, b wiring.RotationPolicy) bool {
	if !samePeriod(a.ExpiryTime, b.ExpiryTime) || len(a.Actions) != len(b.Actions) {
		return false
	}
	for _, x := range a.Actions {
		y, ok := actionOf(b, x.Type)
		if !ok || !samePeriod(x.TimeAfterCreate, y.TimeAfterCreate) || !samePeriod(x.TimeBeforeExpiry, y.TimeBeforeExpiry) {
			return false
		}
	}
	return true
}

func samePeriod(a, b string) bool {
	from := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC) // a leap day lies within the year after
	x, okX := AddISO(from, a, 1)
	y, okY := AddISO(from, b, 1)
	return strings.EqualFold(a, b) || okX && okY && x.Equal(y)
}

func encodeRotation(p wiring.RotationPolicy) string {
	raw, err := canonical.JSON(p)
	if err != nil {
		return "" // unreachable: texts only
	}
	return string(raw)
}

// DecodeRotation reads the From or the To of a set-rotation-policy step.
func DecodeRotation(text string) (wiring.RotationPolicy, error) {
	var p wiring.RotationPolicy
	if text == NoRotationPolicy {
		return p, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fault.New(fault.Invalid, "plan.DecodeRotation", "stored rotation policy: %w", err)
	}
	return p, nil
}

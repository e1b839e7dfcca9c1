package risk

import (
	"fmt"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

// urgent is how close to its expiry a version makes CMK-013 high.
const urgent = 7 * 24 * time.Hour

func checkVersionEnabled() spec {
	return spec{Check{
		ID: "CMK-011", Title: "The key version in use is enabled",
		Family: FamilyVersion, Severity: Critical, SubjectKind: event.SubjectKey, Remedy: remedyReenable,
		Breaks: "Key Vault refuses to unwrap with a disabled version (KeyDisabled): the cluster can go offline within about an hour",
		Guidance: "Find out who disabled the version and whether it was on purpose. If not, enable it again " +
			"(az keyvault key set-attributes --enabled true --version) before anything restarts, scales or patches the cluster.",
	}, judgeVersionEnabled}
}

func judgeVersionEnabled(s *scene) finding {
	v, _, ok := s.inUse()
	if !ok {
		return s.cannotTell()
	}
	// The list is the safe source: it answers whatever the version's state. A
	// bundle that says otherwise means a change between the two reads.
	if s.w.InUse.OK() && s.stale(s.w.InUse.At) == "" && s.w.InUse.Value.Key.Equal(v.Key) && s.w.InUse.Value.Enabled != v.Enabled {
		return unknown("the list says enabled=%t of version %s and the key itself enabled=%t: it changed between the two reads",
			v.Enabled, v.Key.Version, s.w.InUse.Value.Enabled)
	}
	if !v.Enabled {
		return broken(remedyReenable, "version %s, which the cluster uses, is disabled (last changed %s)", v.Key.Version, day(v.Updated))
	}
	return fine("version %s is enabled", v.Key.Version)
}

func checkVersionValid() spec {
	return spec{Check{
		ID: "CMK-012", Title: "The key version in use is inside its validity period",
		Family: FamilyVersion, Severity: Critical, SubjectKind: event.SubjectKey, Remedy: remedyRotate,
		Breaks: "wrapping is refused, so the data key cannot be wrapped again, and the service warns that the cache can go offline",
		Guidance: "Rotate the key to a version that is valid, let the cluster follow, and keep the old version enabled. " +
			"Moving the old version's expiry date also ends the condition.",
	}, judgeVersionValid}
}

// judgeVersionValid weighs an expired version as critical although Key Vault
// still unwraps with it: the service's own page warns of going offline after
// expiry.
func judgeVersionValid(s *scene) finding {
	v, _, ok := s.inUse()
	switch {
	case !ok:
		return s.cannotTell()
	case v.Expires != nil && !v.Expires.After(s.now):
		f := broken(remedyRotate, "version %s, which the cluster uses, expired on %s", v.Key.Version, day(*v.Expires))
		f.reasons = []string{"critical: Key Vault still unwraps with an expired version but refuses to wrap, " +
			"and the service warns that the cache risks going offline"}
		return f
	case v.NotBefore != nil && v.NotBefore.After(s.now):
		f := broken(remedyRotate, "version %s, which the cluster uses, is not valid before %s", v.Key.Version, day(*v.NotBefore))
		f.severity = High
		f.by = *v.NotBefore
		f.breaks = "wrapping is refused until then; unwrapping is not"
		f.reasons = []string{"high: Key Vault refuses to wrap with a version before its time, but unwraps"}
		return f
	}
	return fine("version %s is inside its validity period", v.Key.Version)
}

func checkExpiryNear() spec {
	return spec{Check{
		ID: "CMK-013", Title: "The key does not expire soon",
		Family: FamilyVersion, Severity: Medium, SubjectKind: event.SubjectKey, Remedy: remedyRotate,
		Breaks: "after its expiry the version cannot wrap, and the service warns that the cache can go offline",
		Guidance: "Rotate the key before its expiry date and let every cluster that uses it follow. Keep the old version enabled: " +
			"a managed cache follows within two hours, other consumers may need longer.",
	}, judgeExpiryNear}
}

// judgeExpiryNear looks at the version in use and, because the cluster will
// follow to it, at the newest. It stays broken when the expiry has passed
// (CMK-012 then says the worse thing): getting worse must not look resolved.
func judgeExpiryNear(s *scene) finding {
	v, all, ok := s.inUse()
	if !ok {
		return s.cannotTell()
	}
	newest, hasNewest := newestUsable(all, s.now)
	remedy := remedyRotate
	switch {
	case s.expiresSoon(v) && hasNewest && newest.Created.After(v.Created) && !s.expiresSoon(newest):
		remedy = remedyRewire // the key was rotated; the cluster has not followed
	case s.expiresSoon(v):
	case hasNewest && newest.Created.After(v.Created) && s.expiresSoon(newest):
		v = newest
	case v.Expires == nil:
		return fine("version %s has no expiry date (CMK-018)", v.Key.Version)
	default:
		return fine("version %s expires on %s", v.Key.Version, day(*v.Expires))
	}
	return s.expiry(v, remedy)
}

func (s *scene) expiresSoon(v wiring.KeyVersion) bool {
	return v.Expires != nil && v.Expires.Sub(s.now) <= s.lim.ExpiryWarning
}

func (s *scene) expiry(v wiring.KeyVersion, remedy string) finding {
	left := v.Expires.Sub(s.now)
	f := broken(remedy, "version %s expires on %s, in %s", v.Key.Version, day(*v.Expires), days(left))
	f.by = *v.Expires
	f.reasons = []string{fmt.Sprintf("medium: inside the warning of %s", days(s.lim.ExpiryWarning))}
	switch {
	case left <= 0:
		f.why = fmt.Sprintf("version %s expired on %s (CMK-012)", v.Key.Version, day(*v.Expires))
		f.severity, f.reasons = High, []string{"high: it has expired"}
	case left <= 24*time.Hour:
		f.severity, f.reasons = Critical, []string{"critical: a day left, or less"}
	case left <= urgent:
		f.severity, f.reasons = High, []string{fmt.Sprintf("high: %s left, %s or less", days(left), days(urgent))}
	}
	return f
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
}

func checkExpirySet() spec {
	return spec{Check{
		ID: "CMK-018", Title: "The key version in use has an expiry date",
		Family: FamilyVersion, Severity: Medium, SubjectKind: event.SubjectKey, Remedy: remedySetPolicy,
		Breaks: "nothing warns before the key grows too old: near-expiry events need an expiry date",
		Guidance: "Give the key a rotation policy with an expiry time; it applies to the next version. Set an expiry date on the " +
			"version in use only when its rotation is arranged.",
	}, judgeExpirySet}
}

func judgeExpirySet(s *scene) finding {
	v, all, ok := s.inUse()
	switch {
	case !ok:
		return s.cannotTell()
	case v.Expires != nil:
		return fine("version %s expires on %s", v.Key.Version, day(*v.Expires))
	}
	if n, ok := newestUsable(all, s.now); ok && n.Created.After(v.Created) && n.Expires != nil {
		return broken(remedyRewire, "version %s has no expiry date; the newest version, %s, has one", v.Key.Version, n.Key.Version)
	}
	return broken(remedySetPolicy, "version %s has no expiry date", v.Key.Version)
}

// newestUsable returns the newest version that a cluster can be moved to:
// enabled and inside its validity period.
func newestUsable(all []wiring.KeyVersion, now time.Time) (wiring.KeyVersion, bool) {
	usable := make([]wiring.KeyVersion, 0, len(all))
	for _, v := range all {
		expired := v.Expires != nil && !v.Expires.After(now)
		early := v.NotBefore != nil && v.NotBefore.After(now)
		if v.Enabled && !expired && !early {
			usable = append(usable, v)
		}
	}
	return wiring.Newest(usable)
}

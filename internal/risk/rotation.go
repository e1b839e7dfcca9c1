package risk

import (
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

// overlap is how long a version must stay enabled after its successor was made:
// other services take up to a day to follow.
const overlap = 24 * time.Hour

func checkRotationPolicy() spec {
	return spec{Check{
		ID: "CMK-021", Title: "The key has a rotation policy that rotates",
		Family: FamilyRotation, Severity: High, SubjectKind: event.SubjectKey, Remedy: remedySetPolicy,
		Breaks: "nobody but a person rotates the key; it ages or expires in use",
		Guidance: "Set a rotation policy with a Rotate action (at least every two years), a Notify action before expiry, and an " +
			"expiry time. It must rotate at least seven days after creation and seven days before expiry.",
	}, judgeRotationPolicy}
}

func judgeRotationPolicy(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	if gone(s, s.w.Rotation) {
		if gone(s, s.w.Versions) { // a deleted key's policy answers 404 as well
			return unknown("the key is not there, nor is its rotation policy; see CMK-010")
		}
		return broken(remedySetPolicy, "the key has no rotation policy")
	}
	p, ok := s.rotation()
	if !ok {
		return s.cannotTell()
	}
	dead := ""
	for _, a := range p.Actions {
		switch {
		case !strings.EqualFold(a.Type, "Rotate"):
		case a.TimeAfterCreate != "":
			return fine("the policy rotates %s after creation", a.TimeAfterCreate)
		case a.TimeBeforeExpiry != "" && p.ExpiryTime != "":
			return fine("the policy rotates %s before expiry", a.TimeBeforeExpiry)
		case a.TimeBeforeExpiry != "":
			dead = "its Rotate action counts from an expiry that the policy does not set"
		default:
			dead = "its Rotate action has no trigger"
		}
	}
	if dead != "" {
		return broken(remedySetPolicy, "the rotation policy never rotates: %s", dead)
	}
	return broken(remedySetPolicy, "the rotation policy has no Rotate action")
}

func checkNewestVersion() spec {
	return spec{Check{
		ID: "CMK-024", Title: "The cluster uses the newest enabled key version",
		Family: FamilyRotation, Severity: High, SubjectKind: event.SubjectCluster, Remedy: remedyRewire,
		Breaks: "the cluster depends on a version that others believe to be replaced; disabling or expiring it takes the cluster offline",
		Guidance: "Check that the newest version was made by a rotation that you know. Then set the cluster's key URL to it by PATCH " +
			"and wait until the cluster runs and shows it. Keep the old version enabled.",
	}, judgeNewestVersion}
}

// judgeNewestVersion: an Azure Managed Redis (v2) follows by itself within two
// hours, so it is late only after them; an Enterprise cluster (v1) has no such
// promise and waits for a PATCH from the first moment.
func judgeNewestVersion(s *scene) finding {
	c, ok := s.cluster()
	if !ok {
		return s.cannotTell()
	}
	v, all, ok := s.inUse()
	if !ok {
		return s.cannotTell()
	}
	n, ok := newestUsable(all, s.now)
	switch {
	case !ok:
		return unknown("no version of the key is enabled and valid, so there is none to follow")
	case n.Key.Equal(v.Key):
		return fine("the cluster uses the newest enabled version, %s", v.Key.Version)
	case !newer(n, v):
		return unknown("version %s in use is newer than every usable one (%s); see CMK-011 and CMK-012", v.Key.Version, n.Key.Version)
	}
	lag := fmt.Sprintf("the cluster uses version %s; the newest enabled one is %s, made %s", v.Key.Version, n.Key.Version, day(n.Created))
	until := ready(n).Add(s.lim.AdoptionWait)
	switch kind := strings.ToLower(c.Kind); {
	case kind == "v2" && s.now.Before(until):
		return fine("%s; it is following by itself until %s", lag, day(until))
	case kind == "v2":
		return broken(remedyRewire, "%s; it should have followed by itself by %s", lag, day(until))
	case kind == "v1":
		return broken(remedyRewire, "%s; a cluster of this kind does not follow by itself", lag)
	case s.now.Before(until):
		return unknown("%s; whether a cluster of kind %q follows by itself is not known", lag, c.Kind)
	}
	return broken(remedyRewire, "%s; %s have passed", lag, s.lim.AdoptionWait)
}

// newer reports whether a comes after b, in the order of wiring.Newest.
func newer(a, b wiring.KeyVersion) bool {
	top, _ := wiring.Newest([]wiring.KeyVersion{a, b})
	return top.Key.Equal(a.Key) && !a.Key.Equal(b.Key)
}

// ready is when a version could first be followed to.
func ready(v wiring.KeyVersion) time.Time {
	if v.NotBefore != nil && v.NotBefore.After(v.Created) {
		return *v.NotBefore
	}
	return v.Created
}

func checkEarlyDisable() spec {
	return spec{Check{
		ID: "CMK-025", Title: "No replaced key version was disabled too early",
		Family: FamilyRotation, Severity: Critical, SubjectKind: event.SubjectKey, Remedy: remedyReenable,
		Breaks: "whatever still has its data key wrapped by that version cannot unwrap it and goes offline",
		Guidance: "Enable the version again and leave it enabled: services take two hours to a day to follow, persisted files and " +
			"exports may need it for longer.",
	}, judgeEarlyDisable}
}

// judgeEarlyDisable knows this cluster's reference only; that is why any
// version disabled within a day of its successor counts as well.
func judgeEarlyDisable(s *scene) finding {
	inUse, all, ok := s.inUse()
	if !ok {
		return s.cannotTell()
	}
	for _, v := range all {
		next, replaced := successor(all, v)
		switch {
		case v.Enabled || !replaced:
		case v.Key.Equal(inUse.Key):
			f := broken(remedyReenable, "version %s was replaced by %s and disabled, but the cluster still uses it", v.Key.Version, next.Key.Version)
			f.reasons = []string{"critical: the cluster cannot unwrap with a disabled version"}
			return f
		}
	}
	for _, v := range all {
		next, replaced := successor(all, v)
		if v.Enabled || !replaced || v.Updated.Before(next.Created) || s.now.Sub(next.Created) >= overlap {
			continue
		}
		f := broken(remedyReenable, "version %s was disabled on %s, %s after its successor %s was made; %s are needed",
			v.Key.Version, day(v.Updated), v.Updated.Sub(next.Created).Round(time.Minute), next.Key.Version, overlap)
		f.by = next.Created.Add(overlap)
		f.reasons = []string{"critical: consumers of the key that have not followed yet cannot unwrap"}
		return f
	}
	return fine("no replaced version is disabled while this cluster uses it, or within %s of its successor", overlap)
}

// successor returns the version made next after v.
func successor(all []wiring.KeyVersion, v wiring.KeyVersion) (wiring.KeyVersion, bool) {
	var next wiring.KeyVersion
	found := false
	for _, o := range all {
		if newer(o, v) && (!found || newer(next, o)) {
			next, found = o, true
		}
	}
	return next, found
}

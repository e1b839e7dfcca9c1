package plan

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"cmkguard/internal/wiring"
)

// Origin says who made a key version.
type Origin string

// The origins. Unknown holds.
const (
	OriginOurs     Origin = "ours"      // our own recorded intent made it
	OriginKeyVault Origin = "key-vault" // it appeared when the key's own rotation policy was due
	OriginUnknown  Origin = "unknown"
)

// slack is how far from the due time Key Vault's own rotation is still taken
// for the policy's: the schedule's precision is not documented, so a day.
const slack = 24 * time.Hour

// OriginOf judges who made v. Key Vault records no maker on a version, so its
// own rotation is recognised by its time: the policy has a Rotate action and v
// was created when its predecessor was due. Anything else is unknown.
func OriginOf(v wiring.KeyVersion, versions []wiring.KeyVersion, rot wiring.Fact[wiring.RotationPolicy], ours map[string]bool) (Origin, string) {
	if ours[v.Key.Version] {
		return OriginOurs, "our recorded rotation made it"
	}
	if !rot.OK() {
		return OriginUnknown, "the rotation policy could not be read: " + rot.Why
	}
	prev, ok := predecessor(v, versions)
	if !ok {
		return OriginUnknown, "it has no predecessor and no intent of ours names it"
	}
	due, ok := RotationDue(prev, rot.Value)
	if !ok {
		return OriginUnknown, "no intent of ours names it and the key has no rotation policy with a Rotate action"
	}
	if d := v.Created.Sub(due); d < -slack || d > slack {
		return OriginUnknown, fmt.Sprintf("no intent of ours names it and it was created %s, not when the rotation policy was due (%s)",
			v.Created.UTC().Format(time.RFC3339), due.UTC().Format(time.RFC3339))
	}
	return OriginKeyVault, "created when the key's own rotation policy was due"
}

func predecessor(v wiring.KeyVersion, versions []wiring.KeyVersion) (wiring.KeyVersion, bool) {
	var older []wiring.KeyVersion
	for _, o := range versions {
		if o.Created.Before(v.Created) {
			older = append(older, o)
		}
	}
	return wiring.Newest(older)
}

// RotationDue returns when Key Vault's own rotation of v is due, if its policy
// has a Rotate action.
func RotationDue(v wiring.KeyVersion, p wiring.RotationPolicy) (time.Time, bool) {
	for _, a := range p.Actions {
		if !strings.EqualFold(a.Type, "Rotate") {
			continue
		}
		if t, ok := AddISO(v.Created, a.TimeAfterCreate, 1); ok {
			return t, true
		}
		if v.Expires != nil {
			if t, ok := AddISO(*v.Expires, a.TimeBeforeExpiry, -1); ok {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

var isoDuration = regexp.MustCompile(`^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$`)

// AddISO adds sign (1 or -1) times the ISO 8601 duration s to t, with calendar
// years and months as Key Vault's policies mean them (P90D, P3M, P1Y10D, PT48H).
func AddISO(t time.Time, s string, sign int) (time.Time, bool) {
	m := isoDuration.FindStringSubmatch(strings.ToUpper(strings.TrimSpace(s)))
	if m == nil || len(s) < 3 {
		return time.Time{}, false
	}
	var n [8]int
	for i := 1; i < len(m); i++ {
		if m[i] == "" {
			continue
		}
		v, err := strconv.Atoi(m[i])
		if err != nil || v > 100_000 {
			return time.Time{}, false
		}
		n[i] = v * sign
	}
	clock := time.Duration(n[5])*time.Hour + time.Duration(n[6])*time.Minute + time.Duration(n[7])*time.Second
	return t.AddDate(n[1], n[2], 7*n[3]+n[4]).Add(clock), true
}

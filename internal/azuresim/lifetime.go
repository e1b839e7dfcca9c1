package azuresim

import (
	"strings"
	"time"
)

// nearExpiry is how long before its expiry a version is announced where its
// policy names no Notify action [D: event-schema-key-vault].
const nearExpiry = 30 * 24 * time.Hour

// live lets happen to keys what time brings: rotation under their own policy,
// and the events before and at expiry.
func (s *Sim) live(now time.Time) {
	for _, v := range s.vaults {
		if v.Deleted {
			continue
		}
		for _, key := range sortedKeys(v) {
			if key.Deleted != nil {
				s.purgeIfDue(v, key, now)
				continue
			}
			s.rotateIfDue(v, key, now)
			s.announce(v, key, now)
		}
	}
}

func (s *Sim) purgeIfDue(v *Vault, key *Key, now time.Time) {
	if !now.Before(key.Deleted.Purge) {
		delete(v.Keys, strings.ToLower(key.Name))
	}
}

// rotateIfDue is Key Vault's own rotation; the log calls it KeyRotateIfDue [D].
func (s *Sim) rotateIfDue(v *Vault, key *Key, now time.Time) {
	newest := key.Versions[len(key.Versions)-1]
	at, ok := key.Rotation.due(newest, "Rotate")
	if at.Before(key.Rotation.set) { // overdue when it was set: at once [I]
		at = key.Rotation.set
	}
	if !ok || now.Before(at) || !newest.Enabled || at.Before(s.o.Start) {
		return // what was due before the world began did not happen then
	}
	s.addVersion(v, key, KeyOptions{Created: at, Type: newest.Type, Bits: newest.Bits, Ops: newest.Ops, Expires: s.expiry(key, at)})
	s.auditRecord("KeyRotateIfDue", v, "https://"+v.Host+"/keys/"+key.Name, "", s.eventID(), "Success", 200)
}

// announce fires KeyNearExpiry and KeyExpired, once for a version, and only for
// those that were made after the subscription to events, which is the world's
// start [D: only new versions].
func (s *Sim) announce(v *Vault, key *Key, now time.Time) {
	for _, ver := range key.Versions {
		if ver.Expires == nil || ver.Created.Before(s.o.Start) {
			continue
		}
		at, ok := key.Rotation.due(ver, "Notify")
		if !ok {
			at = ver.Expires.Add(-nearExpiry)
		}
		if !ver.announced && !now.Before(at) {
			ver.announced = true
			s.emitKey("Microsoft.KeyVault.KeyNearExpiry", v, key, ver)
		}
		if !ver.expired && !now.Before(*ver.Expires) {
			ver.expired = true
			s.emitKey("Microsoft.KeyVault.KeyExpired", v, key, ver)
		}
	}
}

// due is when the action of the type falls on the version.
func (r Rotation) due(ver *Version, typ string) (time.Time, bool) {
	for _, a := range r.Actions {
		if !strings.EqualFold(a.Type, typ) {
			continue
		}
		if y, m, d, ok := period(a.TimeAfterCreate); ok {
			return ver.Created.AddDate(y, m, d), true
		}
		if y, m, d, ok := period(a.TimeBeforeExpiry); ok && ver.Expires != nil {
			return ver.Expires.AddDate(-y, -m, -d), true
		}
	}
	return time.Time{}, false
}

// period reads the whole years, months and days of an ISO 8601 duration, the
// units that rotation policies are written in.
func period(s string) (years, months, days int, ok bool) {
	if !strings.HasPrefix(s, "P") || len(s) < 3 {
		return 0, 0, 0, false
	}
	n := 0
	for _, c := range s[1:] {
		switch {
		case c >= '0' && c <= '9':
			n = n*10 + int(c-'0')
		case c == 'Y':
			years, n = n, 0
		case c == 'M':
			months, n = n, 0
		case c == 'W':
			days, n = days+7*n, 0
		case c == 'D':
			days, n = days+n, 0
		default:
			return 0, 0, 0, false
		}
	}
	return years, months, days, n == 0
}

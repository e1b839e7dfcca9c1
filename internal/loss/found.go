package loss

import (
	"slices"
	"time"

	"cmkguard/internal/event"
)

// Found is a state that a sweep found changed.
type Found struct {
	Schema  int           `json:"schema"`
	Subject event.Subject `json:"subject"`
	Check   string        `json:"check"`
	Change  string        `json:"change"` // incident.Change
	Why     string        `json:"why"`
	At      time.Time     `json:"at"`
	About   []string      `json:"about"` // subjects at which a signal would have told of it
	// Told is the first signal that told of it after all, by the day's close; nil:
	// none did.
	Told *Told `json:"told,omitempty"`
}

// Told is a signal about a subject, as its partition remembers it.
type Told struct {
	Kind event.Kind `json:"kind"`
	ID   string     `json:"id"`
	At   time.Time  `json:"at"`   // the source's own time
	Seen time.Time  `json:"seen"` // when it was taken in
}

// tellers are the kinds of signal that tell of a change of a check's answer, and
// the source that brings each. A check that is not here changes by time, or by what
// no source tells of.
func tellers(check string) map[event.Kind]string {
	log := func(m map[event.Kind]string, kinds ...event.Kind) map[event.Kind]string {
		for _, k := range kinds {
			m[k] = Logs
		}
		return m
	}
	version := func() map[event.Kind]string {
		return log(map[event.Kind]string{event.KeyNewVersion: Grid}, event.KeyCreated, event.KeyImported, event.KeyRestored, event.KeyRotated)
	}
	switch check {
	case "CMK-006": // the cluster's identities
		return map[event.Kind]string{event.ClusterWritten: Resource, event.ClusterDeleted: Resource}
	case "CMK-007": // the identity exists
		return map[event.Kind]string{event.IdentityDeleted: Resource, event.IdentityWritten: Resource}
	case "CMK-010": // the key exists
		return log(map[event.Kind]string{event.VaultDeleted: Resource, event.VaultRecovered: Resource}, event.KeyDeleted, event.KeyPurged, event.KeyRecovered)
	case "CMK-011", "CMK-016": // enabled, operations
		return log(version(), event.KeyUpdated)
	case "CMK-050": // the identity may use the key
		return map[event.Kind]string{event.RoleAssigned: Resource, event.RoleUnassigned: Resource, event.RoleRedefined: Resource,
			event.AccessPolicyChanged: Grid, event.VaultWritten: Resource}
	case "CMK-031", "CMK-032", "CMK-036", "CMK-037", "CMK-038", "CMK-039": // the vault's settings
		return map[event.Kind]string{event.VaultWritten: Resource, event.VaultDeleted: Resource, event.VaultRecovered: Resource, event.NetworkChanged: Resource}
	case "CMK-067": // every version has a known maker
		return version()
	}
	return nil
}

// Tells reports whether some source tells when the check's answer changes.
func Tells(check string) bool { return len(tellers(check)) > 0 }

// SourcesOf returns the sources that should have told of it, in order.
func (f Found) SourcesOf() []string {
	var out []string
	for _, source := range tellers(f.Check) {
		if !slices.Contains(out, source) {
			out = append(out, source)
		}
	}
	slices.Sort(out)
	return out
}

// Explain fills in the first of the signals that told of it, if one did: of a kind
// that tells of such a change, not older than back before it was found.
func (f *Found) Explain(told []Told, back time.Duration) {
	kinds := tellers(f.Check)
	for _, t := range told {
		_, tells := kinds[t.Kind]
		if (tells || t.Kind == event.Flooded) && !t.At.Before(f.At.Add(-back)) && (f.Told == nil || t.Seen.Before(f.Told.Seen)) {
			f.Told = &t
		}
	}
}

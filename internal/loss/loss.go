// Package loss accounts for what should have reached us: it matches what Event Grid
// delivered with what the vaults' logs say that it was given to deliver, and both
// with what only a sweep found, and states day by day whether expected is handled.
// It is pure: facts and now go in, a statement and verdicts come out.
//
// It reads nothing and stores nothing (internal/guard does). It proves no more than
// its witnesses: the log is a claim, and a source without a second witness is never
// said to have lost nothing.
package loss

import (
	"strings"
	"time"

	"cmkguard/internal/event"
)

// The sources of a statement.
const (
	Grid     = "event-grid"          // Key Vault's system topics
	Logs     = "vault-logs"          // AuditEvent
	Resource = "subscription-events" // the topics of subscriptions and resource groups
)

const (
	// Near is how far apart two sources may date the same thing. Both are dated by
	// the service when it happens, whatever the delivery takes.
	Near = 15 * time.Minute
	// Grace is how long after its end a day is closed: Event Grid tries for 24 hours
	// (learn.microsoft.com event-grid/delivery-and-retry), a log comes within ten
	// minutes (key-vault/general/logging), and what came last is to be worked on.
	Grace = 25 * time.Hour
	// lateGrid and lateLog are when an arrival counts as late: Event Grid delivers
	// within seconds unless it has to try again, a log within ten minutes.
	lateGrid = 5 * time.Minute
	lateLog  = 15 * time.Minute
)

// Fact is one telling of something that a vault announced.
type Fact struct {
	Schema  int        `json:"schema"`
	Source  string     `json:"source"` // Grid or Logs
	Kind    event.Kind `json:"kind"`
	Vault   string     `json:"vault"`             // azureid.Resource.Key
	Key     string     `json:"key,omitempty"`     // the key's name, lower case; "" if not told
	Version string     `json:"version,omitempty"` // lower case; "" if not told
	At      time.Time  `json:"at"`                // the source's own time
	Seen    time.Time  `json:"seen"`              // when it was taken in
	ID      string     `json:"id"`                // of the event, or of the record
	Signal  string     `json:"signal"`            // where its signal is stored
	// Weak says that its counterpart is not missed: the source may say so of what did not
	// happen, or it came when the day of its counterpart was closed.
	Weak bool `json:"weak,omitempty"`
	// Dated is the source's own time where At had to be another: it is in the future, or
	// of a day that is closed.
	Dated time.Time `json:"dated,omitzero"`
	// Done is whether its signal was worked on; filled by who reads it.
	Done bool `json:"-"`
}

// Day returns the day that a fact belongs to, 2006-01-02 in UTC.
func (f Fact) Day() string { return f.At.UTC().Format(time.DateOnly) }

// Open reports whether a day (2006-01-02, UTC) is not to be closed yet.
func Open(date string, now time.Time) bool {
	day, err := time.Parse(time.DateOnly, date)
	return err == nil && now.Before(day.AddDate(0, 0, 1).Add(Grace))
}

// FactOf returns the fact that a signal tells, if there is a second witness of its
// kind. Key Vault writes a row into the log for each event that it publishes of an
// expiry or an access policy, whether or not anybody is subscribed; of a new version
// there is none, and the call that made it stands for it
// (learn.microsoft.com key-vault/general/logging, operation names).
func FactOf(s event.Signal, seen time.Time) (Fact, bool) {
	f := Fact{
		Schema: 1, Kind: s.Kind, Vault: s.Vault.Key(), Key: strings.ToLower(s.Key.Name), Version: strings.ToLower(s.Key.Version),
		At: s.Time.UTC(), Seen: seen.UTC(), ID: s.ID,
	}
	if f.At.IsZero() {
		f.At = f.Seen
	}
	typ := strings.ToLower(s.Type)
	switch {
	case s.Vault.IsZero():
		return Fact{}, false
	case strings.HasPrefix(typ, "microsoft.keyvault."):
		f.Source = Grid
		switch s.Kind {
		case event.KeyNearExpiry, event.KeyExpired, event.KeyNewVersion, event.AccessPolicyChanged:
			return f, true
		default: // what the log does not announce has no counterpart
		}
	case strings.HasPrefix(typ, "auditevent.") && s.Kind != event.AttemptDenied: // what was refused announced nothing
		f.Source = Logs
		return f, f.fromLog(strings.TrimPrefix(typ, "auditevent."))
	}
	return Fact{}, false
}

// fromLog gives the fact the kind of the event that the operation was followed by.
func (f *Fact) fromLog(operation string) bool {
	switch operation {
	case "keynearexpiryeventgridnotification", "keyexpiredeventgridnotification", "vaultaccesspolicychangedeventgridnotification":
		return true
	case "keycreate", "keyimport", "keyrotate":
		f.Kind = event.KeyNewVersion
		return true
	case "keyrotateifdue", "keyrestore":
		// Whether the first is logged when nothing was due, and whether a restored key
		// is announced, is not documented.
		f.Kind, f.Weak = event.KeyNewVersion, true
		return true
	}
	return false
}

// late reports whether the fact came later than its source usually is.
func (f Fact) late() bool {
	if f.Source == Logs {
		return f.took() > lateLog
	}
	return f.took() > lateGrid
}

// took is how long it took to come.
func (f Fact) took() time.Duration {
	if !f.Dated.IsZero() && f.Dated.Before(f.Seen) {
		return f.Seen.Sub(f.Dated)
	}
	return max(0, f.Seen.Sub(f.At))
}

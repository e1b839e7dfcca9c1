// Package event turns what Azure sends into signals: one normalised hint that
// something about a subject may have changed. Parsers are tolerant of schema,
// case and number format, and strict about where a subject lives.
//
// A signal decides nothing. Whoever takes one reads the live state.
package event

import (
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/canonical"
)

// Kind is what a signal hints at.
type Kind string

// The kinds that Key Vault's Event Grid source can hint at.
const (
	KeyNearExpiry       Kind = "key-near-expiry"
	KeyExpired          Kind = "key-expired"
	KeyNewVersion       Kind = "key-new-version"
	AccessPolicyChanged Kind = "access-policy-changed"
	KeyChanged          Kind = "key-changed" // by a type that this version does not know
)

// Our own hints.
const (
	Recheck Kind = "recheck" // what we did has ended, look again
	Swept   Kind = "sweep"   // nothing happened that we know of: the sweep looks at everything
	// Glance is the sweep's as well, and leaves out what would tell us of the chain's
	// vault, for another look asks that.
	Glance Kind = "glance"
	// Again is a look at what could not be answered a while ago.
	Again Kind = "again"
)

// SubjectKind is the kind of thing that a signal is about.
type SubjectKind string

// The kinds of subject.
const (
	SubjectKey      SubjectKind = "key"
	SubjectVault    SubjectKind = "vault"
	SubjectCluster  SubjectKind = "cluster"
	SubjectIdentity SubjectKind = "identity"
	SubjectScope    SubjectKind = "scope"
)

// Subject is what a signal, an incident or a plan is about. ID is in the form
// to compare: azureid.Key.ID for a key, azureid.Resource.Key otherwise.
type Subject struct {
	Kind SubjectKind `json:"kind"`
	ID   string      `json:"id"`
}

// String returns "kind:id".
func (s Subject) String() string { return string(s.Kind) + ":" + s.ID }

// Signal is one normalised event. Claims of the event beyond the subject (the
// version that it names, its expiry) are kept to be compared with live state,
// never to replace it.
type Signal struct {
	ID      string           `json:"id"`     // the event's own id
	Source  string           `json:"source"` // topic or source as given
	Type    string           `json:"type"`   // the event's own type
	Kind    Kind             `json:"kind"`
	Subject Subject          `json:"subject"`
	Time    time.Time        `json:"time"` // the event's own time, UTC; zero if it had none
	Key     azureid.Key      `json:"key"`  // with version, if the event named one
	Vault   azureid.Resource `json:"vault"`
	// NotBefore and Expires are what the event claims; nil when null or absent.
	NotBefore *time.Time `json:"notBefore,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	// TraceParent is the CloudEvents extension attribute, if present.
	TraceParent string `json:"traceParent,omitempty"`
	// Resource is what a resource event or a vault's log record names; the
	// subject is it, or what it is attached to.
	Resource azureid.Resource `json:"resource,omitzero"`
	// Claim is who did what, as far as the source says; nil if it says nothing.
	Claim *Claim `json:"claim,omitempty"`
}

// Ignored is an element that was understood and is nobody's business here.
type Ignored struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

// DedupKey returns the signal's identity: what CloudEvents says makes an event
// the same one, source and id. It is a hash (64 hexadecimal digits), so that
// any store can take it as a key. Two deliveries of one event share it, in
// whichever schema they came.
func (s Signal) DedupKey() string {
	source := strings.ToLower(strings.TrimRight(strings.TrimSpace(s.Source), "/"))
	return canonical.Hash([]byte(source + "\n" + s.ID))
}

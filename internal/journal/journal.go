// Package journal is the record: entries written in the same batch as the
// state that they explain, folded in order into one Merkle log with signed
// checkpoints, and verified by anybody who holds the public key.
//
// It does not decide what is worth recording and never stores secrets or
// resume tokens.
package journal

import (
	"encoding/json"
	"time"
)

// SchemaVersion is the version of Entry's encoding.
const SchemaVersion = 1

// Entry is one line of the record. Its canonical bytes (internal/canonical)
// are the leaf of the Merkle log.
type Entry struct {
	Schema    int       `json:"schema"`
	Partition string    `json:"partition"` // where it was committed
	Seq       int64     `json:"seq"`       // 1, 2, 3... in its partition: a gap shows
	Time      time.Time `json:"time"`
	Kind      Kind      `json:"kind"`
	Subject   string    `json:"subject"` // event.Subject.String
	Ref       string    `json:"ref"`     // the signal, plan, intent or notification that it belongs to
	Build     string    `json:"build"`   // version of the program that wrote it
	Text      string    `json:"text"`    // one line for people
	// Body is the canonical JSON of what Kind says; may be empty.
	Body json.RawMessage `json:"body,omitempty"`
}

// Kind says what an entry records.
type Kind string

// The kinds of entry.
const (
	KindSignal   Kind = "signal"   // a signal was worked on
	KindVerdict  Kind = "verdict"  // a verdict changed
	KindIncident Kind = "incident" // an incident opened, changed or resolved
	KindPlan     Kind = "plan"     // a plan was made
	KindGate     Kind = "gate"     // gates ruled on a plan
	KindIntent   Kind = "intent"   // an effect is about to be tried
	KindOutcome  Kind = "outcome"  // what an intent came to
	KindReceipt  Kind = "receipt"  // a notification was delivered or given up
	KindPoison   Kind = "poison"   // something could not be handled
	KindDecision Kind = "decision" // a person approved or denied
	KindDrill    Kind = "drill"    // what an exercise came to
	KindNote     Kind = "note"     // start, stop, policy change
	// KindStatement is a day's account of what was expected and what was handled.
	KindStatement Kind = "statement"
)

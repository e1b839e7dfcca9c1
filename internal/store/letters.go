package store

import "time"

// MaxLetterBytes is how much of a dead letter is read: what an intake reads at
// most, and a byte more, by which it tells that it is too long.
const MaxLetterBytes = 4<<20 + 1

// Letter is one blob, or one file, in which Event Grid left events that it could
// not deliver. Its name is SUBSCRIPTION/YYYY/M/D/H/GUID.json
// (learn.microsoft.com, "Set dead-letter location and retry policy").
type Letter struct {
	Name    string    `json:"name"`
	Size    int64     `json:"size"`
	Written time.Time `json:"written"` // UTC
	ETag    string    `json:"-"`       // of what was read; opaque
}

package policy

import "time"

// Heartbeat is an external watcher that pages when our calls stay away.
type Heartbeat struct {
	URL string // "": the setting that SecretRef names holds it
	// SecretRef names the setting that holds the URL, or, beside a URL, the value of
	// the Authorization header; "" for neither.
	SecretRef string
	Every     time.Duration // between two calls
	Line      int
}

// Bounds of how often a watcher is called: the sweep runs every minute, and a
// watcher that waits longer than a day is none.
const (
	minHeartbeat = time.Minute
	maxHeartbeat = 24 * time.Hour
)

func (r reader) heartbeat(n node) {
	h := &Heartbeat{Line: n.line, Every: 5 * time.Minute}
	found := n.fields(map[string]func(node){
		"url":       func(n node) { h.URL = readURL(n) },
		"secretRef": func(n node) { h.SecretRef = readSecretRef(n) },
		"every": func(n node) {
			h.Every = n.duration()
			if h.Every != 0 && (h.Every < minHeartbeat || h.Every > maxHeartbeat) {
				n.problem("is not between 1m and 1d: the sweep that calls the watcher runs every minute")
			}
		},
	})
	if found != nil && !found["url"] && !found["secretRef"] {
		n.problem("has neither url nor secretRef: want secretRef: NAME of the setting that holds the watcher's URL")
	}
	r.policy.Heartbeat = h
}

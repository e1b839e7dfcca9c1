package wiring

import (
	"strings"
	"time"
)

// Sight is what we can see of one watched subscription.
type Sight struct {
	Subscription string    `json:"subscription"`
	Clusters     int       `json:"clusters"`       // that a list showed
	Lack         string    `json:"lack,omitempty"` // what may hide clusters from us: a clear answer
	Why          string    `json:"why,omitempty"`  // why that could not be told
	Call         string    `json:"call"`
	At           time.Time `json:"at"`
}

// Whole reports whether every cluster of the subscription is one that we can see.
func (s Sight) Whole() bool { return s.Lack == "" && s.Why == "" }

// Refusal is a read that a source refused: it answered that we may not.
type Refusal struct {
	Call string
	At   time.Time
	Why  string
}

// Refusals returns the reads about the cluster that were refused, and those about
// its key; unread says that others failed, so that more may be refused.
func (w Wiring) Refusals() (cluster, key []Refusal, unread bool) {
	var c, k refusals
	see(&c, w.Cluster)
	see(&c, w.Identity)
	see(&c, w.Vault)
	see(&k, w.Versions)
	see(&k, w.InUse)
	see(&k, w.Deleted)
	see(&k, w.Rotation)
	see(&k, w.Assignments)
	see(&k, w.Definitions)
	see(&k, w.Denies)
	return c.list, k.list, c.unread || k.unread
}

type refusals struct {
	list   []Refusal
	unread bool
}

// see adds a fact whose source refused it. Facts carry the service's answer in
// words (azfault): "HTTP 403: ..." for a refusal, by rights or by a firewall.
func see[T any](r *refusals, f Fact[T]) {
	switch {
	case f.State != Unreadable:
	case strings.Contains(f.Why, "HTTP 403") || strings.Contains(f.Why, "HTTP 401"):
		r.list = append(r.list, Refusal{f.Call, f.At, f.Why})
	default:
		r.unread = true
	}
}

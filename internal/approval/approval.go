// Package approval is what people decide about plans: one decision of one
// proven person on one matter, sealed so that whoever can write to the storage
// cannot make or alter one; and the judgement whether the decisions there are
// enough. It is pure.
//
// It neither proves who somebody is (approval/entra does) nor stores anything.
package approval

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
)

// Kind is what somebody decided.
type Kind string

// The kinds of decision.
const (
	Approve Kind = "approve"
	Deny    Kind = "deny"
)

// Person is somebody who proved who they are.
type Person struct {
	Object string `json:"object"` // object id in the directory: the identity that counts
	Tenant string `json:"tenant"`
	Name   string `json:"name"` // for people; may change, identifies nobody
}

// Decision is one person's answer on one matter.
type Decision struct {
	Schema int       `json:"schema"`
	Matter string    `json:"matter"` // a plan's id; or "standing~REMEDY~KEY", "erase~KEY"
	Hash   string    `json:"hash"`   // of the plan as the person saw it; "" where the matter says it all
	Kind   Kind      `json:"kind"`
	By     Person    `json:"by"`
	At     time.Time `json:"at"`
	// Expires is from when the decision counts no more.
	Expires time.Time `json:"expires"`
	Reason  string    `json:"reason,omitempty"`
	// Versions are those that the key had when its erasure was decided, comma-separated:
	// a deleted key shows them no more.
	Versions string `json:"versions,omitempty"`
	Seal     string `json:"seal"`
}

// MaxStanding is the longest that a standing approval may hold.
const MaxStanding = 90 * 24 * time.Hour

// Seal seals decisions under a key that writers of the storage do not hold.
type Seal struct{ key []byte }

// NewSeal takes a key of 32 bytes or more.
func NewSeal(key []byte) (Seal, error) {
	if len(key) < 32 {
		return Seal{}, fault.New(fault.Invalid, "approval.NewSeal", "the key has %d bytes: want 32 or more", len(key))
	}
	return Seal{key: slices.Clone(key)}, nil
}

// Close returns the decision with its seal.
func (s Seal) Close(d Decision) (Decision, error) {
	sum, err := s.sum(d)
	d.Seal = sum
	return d, err
}

// Genuine reports whether the seal is this key's and nothing was altered.
func (s Seal) Genuine(d Decision) bool {
	sum, err := s.sum(d)
	return err == nil && hmac.Equal([]byte(sum), []byte(d.Seal))
}

func (s Seal) sum(d Decision) (string, error) {
	d.Seal = ""
	raw, err := canonical.JSON(d)
	if err != nil || len(s.key) == 0 {
		return "", fault.New(fault.Invalid, "approval.Close", "CMKGUARD_APPROVAL_KEY is not set: want 32 random bytes in base64 (openssl rand -base64 32), kept where writers of the storage cannot read it")
	}
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte("cmkguard approval v1\n"))
	m.Write(raw)
	return hex.EncodeToString(m.Sum(nil)), nil
}

// Need is what a matter needs.
type Need struct {
	Persons int
	Causes  []string // object ids that may not approve: who caused the problem
}

// Standing is where a matter stands.
type Standing struct {
	Approved bool
	Denied   bool
	By       []string  // names, with object ids
	Until    time.Time // the first of the approvals to expire
	Why      string    // why a decision does not count
}

// Judge says whether genuine decisions are enough for the matter, as it is now
// (hash). One denial that still counts refuses; an approval counts once per
// person, for what that person saw, until it expires.
func Judge(ds []Decision, matter, hash string, need Need, now time.Time) Standing {
	var s Standing
	var reasons []string
	seen := map[string]bool{}
	for _, d := range ds {
		if d.Matter != matter || seen[d.By.Object] && d.Kind == Approve {
			continue
		}
		who := named(d.By)
		switch {
		case d.By.Object == "" || need.Persons < 1:
		case !now.Before(d.Expires):
			reasons = append(reasons, who+"'s answer expired "+d.Expires.UTC().Format(time.RFC3339))
		case d.Hash != hash:
			reasons = append(reasons, who+" answered on other facts")
		case d.Kind == Deny:
			return Standing{Denied: true, By: []string{who}, Until: d.Expires}
		case slices.ContainsFunc(need.Causes, func(c string) bool { return strings.EqualFold(c, d.By.Object) }):
			reasons = append(reasons, who+" is said to have caused it and cannot approve")
		default:
			seen[d.By.Object] = true
			s.By = append(s.By, who)
			if s.Until.IsZero() || d.Expires.Before(s.Until) {
				s.Until = d.Expires
			}
		}
	}
	s.Approved = need.Persons >= 1 && len(s.By) >= need.Persons
	s.Why = strings.Join(reasons, "; ")
	return s
}

func named(p Person) string {
	if p.Name == "" {
		return "object id " + p.Object
	}
	return fmt.Sprintf("%s (object id %s)", p.Name, p.Object)
}

package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Declared is what the file says that remedies write. What it leaves out is never
// guessed: the remedy makes no plan then.
type Declared struct {
	Rotation Rotation
}

// Rotation is the rotation policy that set-rotation-policy gives to keys that have
// none, or an unsound one; ISO 8601 durations in days or years.
type Rotation struct {
	RotateAfter  string // after a version's creation
	ExpiryTime   string // of new versions
	NotifyBefore string // their expiry
}

// Set reports whether the file has one.
func (r Rotation) Set() bool { return r.ExpiryTime != "" }

// Key Vault's own minima: a rotation at least seven days after creation and seven
// before expiry, an expiry after 28 days at least (learn.microsoft.com
// key-vault/keys/how-to-configure-key-rotation; azkeys, KeyRotationPolicyAttributes).
const (
	leastRotation = 7
	leastExpiry   = 28
)

func (r reader) rotationPolicy(n node) {
	p := &r.policy.Declared.Rotation
	var rotate, expire, notify int
	found := n.fields(map[string]func(node){
		"rotateAfter":  func(n node) { p.RotateAfter, rotate = n.period() },
		"expiryTime":   func(n node) { p.ExpiryTime, expire = n.period() },
		"notifyBefore": func(n node) { p.NotifyBefore, notify = n.period() },
	})
	for _, must := range [...]string{"rotateAfter", "expiryTime", "notifyBefore"} {
		n.require(found, must, must+": 90d or 2y, say: it is not guessed")
	}
	switch {
	case rotate == 0 || expire == 0 || notify == 0: // said already
	case rotate < leastRotation:
		n.problem("rotateAfter is %d days: Key Vault wants 7d or more", rotate)
	case expire < leastExpiry:
		n.problem("expiryTime is %d days: Key Vault wants 28d or more", expire)
	case expire-rotate < leastRotation:
		n.problem("a rotation %d days after creation is less than seven days before expiry (%d days): want rotateAfter at least 7d below expiryTime", rotate, expire)
	case notify >= expire:
		n.problem("notifyBefore is %d days, before the version is made (expiryTime %d days): want less", notify, expire)
	}
}

var periodText = regexp.MustCompile(`^([1-9][0-9]{0,3})([dy])$`)

// period reads "90d" or "2y" as an ISO 8601 duration, with the days that it has at
// least; hours make no sense in a key's life. 0 after a problem.
func (n node) period() (iso string, days int) {
	s := n.text()
	m := periodText.FindStringSubmatch(s)
	if m == nil {
		if s != "" {
			n.problem("%q is no period: want days or years such as 90d or 2y", clip(s))
		}
		return "", 0
	}
	count, err := strconv.Atoi(m[1])
	if m[2] == "y" {
		days = 365
	} else {
		days = 1
	}
	if err != nil || count*days > 3650 {
		n.problem("%q is above ten years", clip(s))
		return "", 0
	}
	return fmt.Sprintf("P%d%s", count, strings.ToUpper(m[2])), count * days
}

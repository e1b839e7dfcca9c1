package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"cmkguard/internal/azureid"
)

// Declared is what the file says that remedies write. What it leaves out is never
// guessed: the remedy makes no plan then.
type Declared struct {
	Rotation    Rotation
	Diagnostics Diagnostics
	Events      Events
	Resources   ResourceEvents
	// AccessPolicies: restore-grant also adds to the access policies of vaults that
	// have no roles.
	AccessPolicies bool
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

// Diagnostics is the diagnostic setting that restore-diagnostics gives back to a
// vault; ARM ids, of which one at least is set.
type Diagnostics struct {
	Name      string
	Workspace string
	HubRule   string // authorization rule of an Event Hubs namespace
	Hub       string // name of the hub; "" lets Azure choose it
	Storage   string
}

// Set reports whether the file has one.
func (d Diagnostics) Set() bool { return d.Name != "" }

// Destinations are the ids that it sends to.
func (d Diagnostics) Destinations() []string {
	return nonEmpty(d.Workspace, d.HubRule, d.Storage)
}

func nonEmpty(list ...string) (out []string) {
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (r reader) diagnostics(n node) {
	d := &r.policy.Declared.Diagnostics
	found := n.fields(map[string]func(node){
		"name":         func(n node) { d.Name = n.name() },
		"workspace":    func(n node) { d.Workspace = n.resource("Microsoft.OperationalInsights/workspaces") },
		"eventHubRule": func(n node) { d.HubRule = n.resource("Microsoft.EventHub/namespaces/authorizationRules") },
		"eventHub":     func(n node) { d.Hub = n.name() },
		"storage":      func(n node) { d.Storage = n.resource("Microsoft.Storage/storageAccounts") },
	})
	n.require(found, "name", "name: TEXT, the diagnostic setting's")
	switch {
	case found != nil && !found["workspace"] && !found["eventHubRule"] && !found["storage"]:
		n.problem("sends nowhere: want workspace, eventHubRule or storage")
	case found["eventHub"] && !found["eventHubRule"]:
		n.problem("has eventHub without eventHubRule: want the namespace's authorization rule too")
	}
}

// resource returns an ARM id of the type, as given.
func (n node) resource(typ string) string {
	s := n.text()
	if s == "" {
		return ""
	}
	id, err := azureid.ParseResource(s)
	if err != nil || !strings.EqualFold(id.Type(), typ) {
		n.problem("%q is no id of a %s: want /subscriptions/ID/resourceGroups/NAME/providers/%s", clip(s), typ, shape(typ))
		return ""
	}
	return id.String()
}

// shape shows where the names of a type stand in an id: P/a/NAME/b/NAME.
func shape(typ string) string {
	parts := strings.Split(typ, "/")
	return parts[0] + "/" + strings.Join(parts[1:], "/NAME/") + "/NAME"
}

var resourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)

// name returns the name of something in Azure.
func (n node) name() string {
	s := n.text()
	if s != "" && !resourceName.MatchString(s) {
		n.problem("%q is no name: want letters, digits and - _ . only", clip(s))
		return ""
	}
	return s
}

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

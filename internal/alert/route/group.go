package route

import (
	"slices"
	"strings"

	"cmkguard/internal/alert"
	"cmkguard/internal/policy"
)

// Group says with what the alert is told together on the channel; false: by itself. An
// alert that has nothing of what the channel groups by is told by itself.
func Group(p *policy.Policy, a alert.Alert, channel string) (alert.Group, bool) {
	c, ok := p.Channel(channel)
	if !ok || c.Group == nil {
		return alert.Group{}, false
	}
	var key, name []string
	for _, by := range c.Group.By {
		value, label := has(a, by)
		if value == "" {
			return alert.Group{}, false
		}
		key, name = append(key, by+"="+value), append(name, label)
	}
	return alert.Group{Key: strings.Join(key, "|"), Name: strings.Join(name, ", "), Wait: c.Group.Wait, Every: c.Group.Interval}, true
}

// has is what the alert has of one thing to group by, and how people call it.
func has(a alert.Alert, by string) (value, label string) {
	f := Facts(a)
	switch by {
	case "vault":
		value = f.Vault
	case "key":
		return keyOf(a)
	case "check":
		value = f.Check
	case "family":
		value = f.Family
	case "severity":
		value = string(f.Severity)
	case "subscription":
		value = strings.Join(slices.Sorted(slices.Values(f.Subscriptions)), "+")
	case "owner":
		var owners []string
		for _, i := range a.Impact {
			if i.Owner != "" {
				owners = union(owners, []string{i.Owner})
			}
		}
		value = strings.Join(slices.Sorted(slices.Values(owners)), "+")
	}
	return value, by + " " + value
}

// keyOf is the key that the alert is about or hangs on.
func keyOf(a alert.Alert) (value, label string) {
	for _, partition := range a.Upstream { // its own is among them
		if strings.HasPrefix(partition, "key~") {
			if kind, id, _ := strings.Cut(a.Subject, ":"); kind == "key" {
				return partition, "key " + id
			}
			return partition, "one key of vault " + a.Vault
		}
	}
	return "", ""
}

// Storm says from when on what comes to the channel is told as one.
func Storm(p *policy.Policy, channel string) alert.Storm {
	s, ok := p.Storm(channel)
	if !ok {
		return alert.Storm{}
	}
	c, _ := p.Channel(channel)
	return alert.Storm{More: s.More, Within: s.Within, Keeps: c.Keeps()}
}

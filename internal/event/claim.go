package event

import (
	"encoding/json"
	"strings"
)

// Claim is what only the event or log says: who did what, with which answer.
// It may hold or alert, and never release anything: anybody with the right to
// send to the source could have made it up.
type Claim struct {
	Source    string `json:"source"`    // where it was read: "data.claims" of which topic, or whose AuditEvent
	Operation string `json:"operation"` // as given
	Status    int    `json:"status,omitempty"`
	Actor     Actor  `json:"actor"`
	// Correlation is correlationId: the intent's id where we were the caller.
	Correlation string `json:"correlation,omitempty"`
	// Says is the source's own text, clipped: resultDescription of a refusal.
	Says string `json:"says,omitempty"`
}

// Actor is who a claim names. Any of it may be empty.
type Actor struct {
	ObjectID string `json:"objectId,omitempty"` // lower case
	AppID    string `json:"appId,omitempty"`    // lower case
	Name     string `json:"name,omitempty"`     // user principal name, or a display name
	Address  string `json:"address,omitempty"`  // IP address, as given
}

// String names the actor for people; "somebody" when the claim names nobody.
func (a Actor) String() string {
	var parts []string
	for _, p := range []struct{ what, is string }{{"", a.Name}, {"object id ", a.ObjectID}, {"app ", a.AppID}, {"from ", a.Address}} {
		if p.is != "" {
			parts = append(parts, p.what+p.is)
		}
	}
	if len(parts) == 0 {
		return "somebody whom the event does not name"
	}
	return strings.Join(parts, ", ")
}

// String tells the claim in one line.
func (c Claim) String() string {
	s := c.Operation + " by " + c.Actor.String()
	if c.Says != "" {
		s += ": " + c.Says
	}
	return s + " (claimed by " + c.Source + ")"
}

// actorOf reads the actor from a set of token claims: short names in the data
// plane, URI names in the control plane, and an array where a claim has many
// values. Nothing of it is required.
func actorOf(claims object) Actor {
	return Actor{
		ObjectID: strings.ToLower(claims.first("oid", "http://schemas.microsoft.com/identity/claims/objectidentifier")),
		AppID:    strings.ToLower(claims.first("appid", "azp")),
		Name: claims.first("upn", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn", "unique_name",
			"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name", "name"),
		Address: claims.first("ipaddr"),
	}
}

// first returns the text of the first of the fields that has one.
func (o object) first(names ...string) string {
	for _, n := range names {
		if s := o.loose(n); s != "" {
			return s
		}
	}
	return ""
}

// loose returns a field's text however it is written: a string, a number, or an
// array whose first element counts. It reports nothing: what is read this way
// decides nothing.
func (o object) loose(name string) string {
	v := o.value(name)
	for range 2 {
		if len(v) == 0 {
			return ""
		}
		switch v[0] {
		case '"':
			var s string
			if json.Unmarshal(v, &s) != nil {
				return ""
			}
			return clip(strings.TrimSpace(s))
		case '[':
			var list []json.RawMessage
			if json.Unmarshal(v, &list) != nil || len(list) == 0 {
				return ""
			}
			v = list[0]
		case '{', 'n':
			return ""
		default:
			return clip(string(v))
		}
	}
	return ""
}

// quiet returns the field as an object, or as a string that holds one; where it
// is neither, an object without fields, and nothing is reported.
func (o object) quiet(name string) object {
	var ignored []string
	v := o.value(name)
	if v == nil {
		return object{problems: &ignored}
	}
	return newObject(o.prefix+name, v, &ignored)
}

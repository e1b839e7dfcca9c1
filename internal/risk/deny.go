package risk

import (
	"fmt"
	"strings"

	"cmkguard/internal/wiring"
)

// denied answers whether a deny assignment withholds the action: OK for "none
// does", Broken for "one does", Unknown for "one might" or "they were not read".
func (r rbac) denied(action string) (Answer, string) {
	if !r.denies.OK() {
		why := because(r.denies.Call, r.denies.Why)
		if why == "" {
			why = "not read"
		}
		return Unknown, "whether a deny assignment withholds it is not known (" + why + ")"
	}
	maybe := ""
	for _, d := range r.denies.Value {
		if !r.reaches(d) || !allows(d.Permissions, action) {
			continue
		}
		switch r.names(d) {
		case Broken:
			return Broken, "denied by deny assignment " + lastSegment(d.ID) + " at " + d.Scope
		case Unknown:
			maybe = fmt.Sprintf("deny assignment %s may apply: it names or excludes a group whose members were not read", lastSegment(d.ID))
		case OK: // it is about others
		}
	}
	if maybe != "" {
		return Unknown, maybe
	}
	return OK, ""
}

// reaches reports whether the deny assignment applies at the key's scope. One
// that is not for child scopes applies to keys only where it sits on the key.
func (r rbac) reaches(d wiring.DenyAssignment) bool {
	if d.NotForChildScopes {
		return strings.EqualFold(strings.TrimRight(d.Scope, "/"), r.scope)
	}
	return covers(d.Scope, r.scope)
}

// names answers whether the deny assignment hits the principal: Broken for yes,
// OK for no, Unknown where a group decides.
func (r rbac) names(d wiring.DenyAssignment) Answer {
	in := r.among(d.Principals)
	if in == OK {
		return OK
	}
	switch r.among(d.ExcludedPrincipals) {
	case Broken:
		return OK
	case Unknown:
		return Unknown
	case OK: // not excluded
	}
	return in
}

// among answers whether the list holds the principal: Broken for yes, OK for
// no, Unknown if it might be in a group that the list holds.
func (r rbac) among(list []wiring.Principal) Answer {
	answer := OK
	for _, p := range list {
		switch in := r.member(p.ID, p.Type); {
		case strings.EqualFold(p.ID, r.principal), p.ID == everybodyDenied, in == OK:
			return Broken
		case in == Unknown:
			answer = Unknown
		}
	}
	return answer
}

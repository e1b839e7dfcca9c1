package risk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/wiring"
)

// rbac evaluates Azure RBAC for one principal at one key's scope.
type rbac struct {
	scope       string // the key's, lower case
	principal   string
	groups      wiring.Fact[[]string] // that the principal is in
	assignments wiring.Fact[[]wiring.RoleAssignment]
	defs        wiring.Fact[map[string]wiring.RoleDefinition]
	denies      wiring.Fact[[]wiring.DenyAssignment]
	now         time.Time
	lim         Limits
}

func (r rbac) access() Access {
	if !r.assignments.OK() {
		return same(Unknown, "the role assignments could not be read ("+because(r.assignments.Call, r.assignments.Why)+")")
	}
	a := Access{}
	a.Get = r.can(&a, "get", actionRead)
	a.Unwrap = r.can(&a, "unwrap", actionUnwrap)
	a.Wrap = r.wrap(&a)
	a.Excess = r.excess()
	return a
}

// wrap is can for wrapping, which has a second way. The roles' own description:
// for RSA keys wrap, encrypt and verify need only the public part, so whoever may
// read may wrap. CMK-014 sees to it that the key is RSA. A denied wrap is denied
// both ways.
func (r rbac) wrap(a *Access) Answer {
	granted, why := r.granted(actionWrap)
	if granted != OK && a.Get != Broken {
		granted, why = a.Get, "an RSA key can be wrapped with by whoever may read it"
	}
	a.Why = append(a.Why, "wrap: "+why)
	return r.unlessDenied(a, "wrap", actionWrap, granted)
}

// can answers one data action: granted and not denied.
func (r rbac) can(a *Access, name, action string) Answer {
	granted, why := r.granted(action)
	a.Why = append(a.Why, name+": "+why)
	return r.unlessDenied(a, name, action, granted)
}

func (r rbac) unlessDenied(a *Access, name, action string, granted Answer) Answer {
	if granted == Broken {
		return Broken // a deny assignment could only take away more
	}
	denied, why := r.denied(action)
	if denied != OK {
		a.Why = append(a.Why, name+": "+why)
	}
	return worst(granted, denied)
}

// granted answers whether any assignment gives the action: OK, Broken for
// "none does", Unknown for "one might".
func (r rbac) granted(action string) (Answer, string) {
	maybe := ""
	for _, as := range r.assignments.Value {
		if !covers(as.Scope, r.scope) {
			continue
		}
		answer, why := r.gives(as, action)
		if answer == OK {
			return OK, why
		}
		if answer == Unknown && maybe == "" {
			maybe = why
		}
	}
	if maybe != "" {
		return Unknown, maybe
	}
	return Broken, "no role assignment at the key's scope or above gives it to principal " + r.principal
}

// gives answers for one assignment that reaches the key.
func (r rbac) gives(as wiring.RoleAssignment, action string) (Answer, string) {
	own := strings.EqualFold(as.PrincipalID, r.principal)
	in := r.member(as.PrincipalID, as.PrincipalType)
	if !own && in == Broken {
		return Broken, ""
	}
	name := "assignment " + lastSegment(as.ID)
	role, ok := r.role(as.RoleID)
	switch {
	case !r.defs.OK():
		return Unknown, fmt.Sprintf("%s: the role definitions could not be read (%s)", name, because(r.defs.Call, r.defs.Why))
	case !ok:
		return Unknown, fmt.Sprintf("%s: the definition of role %s was not read", name, lastSegment(as.RoleID))
	case !allows(role.Permissions, action):
		return Broken, ""
	case !own && in == Unknown:
		return Unknown, fmt.Sprintf("%s gives it to group %s, whose members were not read", name, as.PrincipalID)
	case strings.TrimSpace(as.Condition) != "":
		return Unknown, name + " has a condition, which cannot be evaluated for keys"
	}
	if at := lastChange(as); at.IsZero() || r.now.Sub(at) < r.lim.GrantSettle {
		return Unknown, fmt.Sprintf("%s was made or changed less than %s ago (%s): it may not have spread yet", name, r.lim.GrantSettle, day(at))
	}
	return OK, fmt.Sprintf("by role %q at %s", role.Name, as.Scope)
}

func lastChange(as wiring.RoleAssignment) time.Time {
	if as.UpdatedOn.After(as.CreatedOn) {
		return as.UpdatedOn
	}
	return as.CreatedOn
}

// member answers whether the principal is in the group: Broken for no, and for
// what is no group; Unknown where its groups were not read.
func (r rbac) member(id, kind string) Answer {
	switch {
	case !strings.EqualFold(kind, "Group"):
		return Broken
	case !r.groups.OK():
		return Unknown
	case containsFold(r.groups.Value, id):
		return OK
	}
	return Broken
}

func (r rbac) role(id string) (wiring.RoleDefinition, bool) { return roleOf(r.defs.Value, id) }

// roleOf finds a definition by its ARM id or, because a built-in role's id has
// the subscription in one answer and not in the other, by its name (a GUID).
func roleOf(defs map[string]wiring.RoleDefinition, id string) (wiring.RoleDefinition, bool) {
	if d, ok := defs[strings.ToLower(id)]; ok {
		return d, true
	}
	for key, d := range defs {
		if strings.EqualFold(lastSegment(key), lastSegment(id)) {
			return d, true
		}
	}
	return wiring.RoleDefinition{}, false
}

// allows reports whether a block gives the action. notDataActions subtract in
// their own block only; what one block gives, no other takes away.
func allows(blocks []wiring.Permission, action string) bool {
	return slices.ContainsFunc(blocks, func(p wiring.Permission) bool {
		return matchAny(p.DataActions, action) && !matchAny(p.NotDataActions, action)
	})
}

// covers reports whether an assignment's scope is the target or above it. A
// management group is not part of a resource's id: those in the list were
// answered for the key's scope, so they are above it.
func covers(scope, target string) bool {
	s := strings.ToLower(strings.TrimRight(scope, "/"))
	t := strings.ToLower(target)
	return scope == "/" || s != "" && (s == t || strings.HasPrefix(t, s+"/") ||
		strings.HasPrefix(s, "/providers/microsoft.management/managementgroups/"))
}

func lastSegment(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

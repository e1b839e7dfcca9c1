// Package azureid parses Azure's names once: ARM resource ids, Key Vault key
// URLs, and the clouds that say which hosts are whose. Azure compares all of
// them without regard to case and so do these types; text is kept as given for
// display.
//
// It holds no client and reads nothing.
package azureid

import (
	"encoding/json"
	"strings"

	"cmkguard/internal/fault"
)

// Resource types that this product handles, in lower case as Type returns them.
const (
	TypeRedisEnterprise = "microsoft.cache/redisenterprise"
	TypeVault           = "microsoft.keyvault/vaults"
	TypeIdentity        = "microsoft.managedidentity/userassignedidentities"
	TypeRoleAssignment  = "microsoft.authorization/roleassignments"
	TypeRoleDefinition  = "microsoft.authorization/roledefinitions"
)

// Resource is a parsed ARM resource id. The zero value is no resource.
type Resource struct {
	raw string
	key string
	typ string
	rg  string
	sub string
}

// maxResource is how long an id may be. Real ones end well before; what is longer
// would not fit where ids are kept.
const maxResource = 2048

// ParseResource parses an ARM id such as
// /subscriptions/S/resourceGroups/G/providers/P/T/N[/T2/N2...], with or
// without a nested provider. Subscription and resource-group ids and tenant
// level ids (/providers/...) are taken too.
func ParseResource(s string) (Resource, error) {
	const op = "azureid.ParseResource"
	trimmed := strings.TrimRight(strings.TrimSpace(s), "/")
	if len(trimmed) > maxResource {
		return Resource{}, fault.New(fault.Invalid, op, "resource id of %d bytes: want at most %d", len(trimmed), maxResource)
	}
	if !strings.HasPrefix(trimmed, "/") {
		return Resource{}, fault.New(fault.Invalid, op, "resource id %q does not begin with /", s)
	}
	parts := strings.Split(trimmed[1:], "/")
	for i, p := range parts {
		// A name that begins or ends with a space would be another one once it is trimmed.
		if p == "" || strings.ContainsAny(p, "\x00\r\n\t?#\\") || p == "." || p == ".." || strings.TrimSpace(p) != p {
			return Resource{}, fault.New(fault.Invalid, op, "resource id %q: bad segment %d", s, i+1)
		}
	}
	r := Resource{raw: trimmed, key: strings.ToLower(trimmed)}
	if err := r.split(parts); err != nil {
		return Resource{}, err
	}
	return r, nil
}

func (r *Resource) split(parts []string) error {
	const op = "azureid.ParseResource"
	i := 0
	if len(parts) >= 2 && strings.EqualFold(parts[0], "subscriptions") {
		r.sub, i = strings.ToLower(parts[1]), 2
		r.typ = "microsoft.resources/subscriptions"
		if len(parts) >= 4 && strings.EqualFold(parts[2], "resourceGroups") {
			r.rg, i = parts[3], 4
			r.typ = "microsoft.resources/resourcegroups"
		}
	}
	for i < len(parts) {
		if !strings.EqualFold(parts[i], "providers") || i+3 >= len(parts) {
			return fault.New(fault.Invalid, op, "resource id %q: want providers/NAMESPACE/TYPE/NAME at segment %d", r.raw, i+1)
		}
		typ := parts[i+1]
		i += 2
		for i < len(parts) && !strings.EqualFold(parts[i], "providers") {
			if i+1 >= len(parts) {
				return fault.New(fault.Invalid, op, "resource id %q: type %q has no name", r.raw, parts[i])
			}
			typ += "/" + parts[i]
			i += 2
		}
		r.typ = strings.ToLower(typ)
	}
	if r.typ == "" {
		return fault.New(fault.Invalid, op, "resource id %q has neither subscription nor provider", r.raw)
	}
	return nil
}

// MustResource is ParseResource for constants and tests; it panics on error.
func MustResource(s string) Resource {
	r, err := ParseResource(s)
	if err != nil {
		panic(err)
	}
	return r
}

// String returns the id as it was given.
func (r Resource) String() string { return r.raw }

// Key returns the id in lower case: the form to compare and to index by.
func (r Resource) Key() string { return r.key }

// Type returns the full type in lower case, such as
// "microsoft.cache/redisenterprise/databases"; of a nested provider the last.
func (r Resource) Type() string { return r.typ }

// Subscription returns the subscription id in lower case, or "".
func (r Resource) Subscription() string { return r.sub }

// ResourceGroup returns the resource group's name as given, or "".
func (r Resource) ResourceGroup() string { return r.rg }

// Name returns the last segment.
func (r Resource) Name() string { return r.raw[strings.LastIndexByte(r.raw, '/')+1:] }

// IsZero reports whether r is no resource.
func (r Resource) IsZero() bool { return r.raw == "" }

// Equal compares as Azure does, without regard to case.
func (r Resource) Equal(o Resource) bool { return r.key == o.key }

// Covers reports whether r, taken as a scope, is o or an ancestor of it. No
// resource covers nothing: the empty text would be everybody's ancestor.
func (r Resource) Covers(o Resource) bool {
	if r.IsZero() {
		return false
	}
	return r.key == o.key || strings.HasPrefix(o.key, r.key+"/")
}

// Scopes returns r's ancestors by containment that a role can be assigned at:
// the resource itself, its resource group and its subscription, as ARM ids in
// lower case, nearest first. Management groups and "/" are not part of an id.
func (r Resource) Scopes() []string {
	if r.sub == "" {
		return []string{r.key}
	}
	sub := "/subscriptions/" + r.sub
	out := []string{r.key}
	if r.rg != "" {
		if g := sub + "/resourcegroups/" + strings.ToLower(r.rg); g != r.key {
			out = append(out, g)
		}
	}
	if sub != r.key {
		out = append(out, sub)
	}
	return out
}

// MarshalJSON writes the id as given.
func (r Resource) MarshalJSON() ([]byte, error) { return json.Marshal(r.raw) }

// UnmarshalJSON reads an id; "" is the zero value.
func (r *Resource) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s == "" {
		*r = Resource{}
		return nil
	}
	p, err := ParseResource(s)
	if err != nil {
		return err
	}
	*r = p
	return nil
}

package self

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// Needs are what an identity of ours is meant to be able to do. What goes beyond is
// excess: it is what a thief of its token would have.
type Needs struct {
	Actions     []string
	DataActions []string
	Permissions []string          // key permissions of access policies
	House       map[string]string // roles of our own house: GUID, and the resource type at or below which
}

// Excess is one thing that an identity may do and need not.
type Excess struct {
	What     string        `json:"what"`  // an action or a pattern of actions, as the role has it
	Scope    string        `json:"scope"` // where it may
	By       string        `json:"by"`    // the role or the access policy
	Severity risk.Severity `json:"severity"`
}

// Holding is what one of our identities may do beyond its needs.
type Holding struct {
	wiring.OwnIdentity
	Excess []Excess `json:"excess"`
	// Unknown is why its rights are not all known; "" if they are. Then an empty
	// Excess proves nothing.
	Unknown string `json:"unknown,omitempty"`
}

// Hold compares what the identity was given with what it needs.
func Hold(i wiring.OwnIdentity, need Needs) Holding {
	h := Holding{OwnIdentity: i, Excess: []Excess{}}
	writes := i.Role == "observer"
	for _, g := range i.Grants.Value {
		switch {
		case need.ofOurHouse(g.Assignment):
		case !g.Role.OK():
			h.Unknown = "the definition of role " + last(g.Assignment.RoleID) + " was not read: " + g.Role.Why
		default:
			h.Excess = append(h.Excess, beyond(g, need, writes)...)
		}
	}
	for _, p := range i.Policies.Value {
		for _, k := range p.Keys {
			if !slices.ContainsFunc(need.Permissions, func(n string) bool { return strings.EqualFold(n, k) }) {
				h.Excess = append(h.Excess, Excess{"keys: " + k, p.Vault, "access policy", gravityOfPermission(k, writes)})
			}
		}
	}
	slices.SortStableFunc(h.Excess, func(a, b Excess) int { return b.Severity.Rank() - a.Severity.Rank() })
	switch {
	case !i.Object.OK():
		h.Unknown = "its object id could not be read: " + i.Object.Why
	case !i.Grants.OK():
		h.Unknown = "its role assignments could not be read: " + i.Grants.Why
	case !i.Policies.OK():
		h.Unknown = "the vaults' access policies could not be read: " + i.Policies.Why
	}
	return h
}

// ofOurHouse: a role that our own state, telemetry or messages take, at such a resource.
func (n Needs) ofOurHouse(a wiring.RoleAssignment) bool {
	typ := n.House[strings.ToLower(last(a.RoleID))]
	return typ != "" && strings.Contains(strings.ToLower(a.Scope), "/providers/"+typ+"/")
}

// beyond lists what a role gives beyond the needs: its own patterns, for what a
// wildcard covers has no end.
func beyond(g wiring.OwnGrant, need Needs, observer bool) []Excess {
	var out []Excess
	by := "role " + g.Role.Value.Name
	if strings.TrimSpace(g.Assignment.Condition) != "" {
		by += ", under a condition"
	}
	for _, b := range g.Role.Value.Permissions {
		for _, list := range []struct{ gives, but, need, grave []string }{
			{b.Actions, b.NotActions, need.Actions, graveActions(observer)},
			{b.DataActions, b.NotDataActions, need.DataActions, graveDataActions(observer)},
		} {
			for _, p := range list.gives {
				if covered(list.need, p) || covered(list.but, p) {
					continue
				}
				out = append(out, Excess{p, g.Assignment.Scope, by, gravity(p, list.but, list.need, list.grave)})
			}
		}
	}
	return out
}

// gravity of a pattern: critical if it covers something grave that is not needed, low
// if it only reads.
func gravity(p string, but, need, grave []string) risk.Severity {
	for _, g := range grave {
		if matches(p, g) && !covered(but, g) && !covered(need, g) {
			return risk.Critical
		}
	}
	if strings.HasSuffix(strings.ToLower(p), "/read") {
		return risk.Low
	}
	return risk.Medium
}

// graveActions end something for good, or let their holder give itself the right to.
// For the observer, whatever writes to a vault or a cluster is grave too.
func graveActions(observer bool) []string {
	out := []string{
		"Microsoft.KeyVault/vaults/delete", "Microsoft.KeyVault/locations/deletedVaults/purge/action", "Microsoft.Cache/redisEnterprise/delete",
		"Microsoft.Cache/redisEnterprise/databases/delete", "Microsoft.ManagedIdentity/userAssignedIdentities/delete",
		"Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete", "Microsoft.Authorization/roleDefinitions/write",
		"Microsoft.Authorization/locks/delete", "Microsoft.Resources/subscriptions/resourceGroups/delete",
	}
	if observer {
		out = append(out, "Microsoft.KeyVault/vaults/write", "Microsoft.KeyVault/vaults/accessPolicies/write", "Microsoft.KeyVault/vaults/keys/write", "Microsoft.Cache/redisEnterprise/write")
	}
	return out
}

func graveDataActions(observer bool) []string {
	const keys = "Microsoft.KeyVault/vaults/keys/"
	out := []string{keys + "delete", keys + "purge/action"}
	if observer {
		for _, a := range []string{"create", "import", "update", "rotate", "recover", "restore", "release"} {
			out = append(out, keys+a+"/action")
		}
		out = append(out, "Microsoft.KeyVault/vaults/keyrotationpolicies/write")
	}
	return out
}

func gravityOfPermission(k string, observer bool) risk.Severity {
	switch strings.ToLower(k) {
	case "delete", "purge", "all":
		return risk.Critical
	case "create", "import", "update", "rotate", "recover", "restore", "release", "setrotationpolicy":
		if observer {
			return risk.Critical
		}
	case "get", "list", "getrotationpolicy":
		return risk.Low
	}
	return risk.Medium
}

// JudgeRights answers SELF-021 for the observer and SELF-022 for the remediator. same:
// both are one identity by their settings or their object ids.
func JudgeRights(h Holding, same bool, now time.Time) risk.Verdict {
	id := Remediates
	if h.Role == "observer" {
		id = Observes
	}
	var evidence []risk.Evidence
	for _, e := range []risk.Evidence{{Call: h.Object.Call, At: h.Object.At, Value: h.Object.Value}, {Call: h.Grants.Call, At: h.Grants.At, Value: fmt.Sprintf("%d role assignments", len(h.Grants.Value))}} {
		if e.Call != "" {
			evidence = append(evidence, e)
		}
	}
	switch {
	case same && id == Observes:
		v := verdict(id, Us(), risk.Broken, evidence, "the observer and the remediator are one identity (%s): whoever reads as it may write as it", orUnset(h.ClientID))
		return weighed(v, risk.Critical)
	case len(h.Excess) > 0:
		v := verdict(id, Us(), risk.Broken, evidence, "the %s may do more than it needs: %s", h.Role, listed(h.Excess))
		return weighed(v, h.Excess[0].Severity)
	case h.Unknown != "":
		return verdict(id, Us(), risk.Unknown, evidence, "what the %s may do is not known: %s", h.Role, h.Unknown)
	}
	return verdict(id, Us(), risk.OK, append(evidence, risk.Evidence{Call: "compared with its needs", At: now, Value: "no excess"}), "the %s may do nothing beyond what it needs", h.Role)
}

func weighed(v risk.Verdict, s risk.Severity) risk.Verdict {
	v.Severity, v.Reasons = s, []string{string(s) + ": " + v.Breaks}
	return v
}

const maxListed = 8

func listed(all []Excess) string {
	var out []string
	for _, e := range all[:min(len(all), maxListed)] {
		out = append(out, fmt.Sprintf("%s (%s, %s at %s)", e.What, e.Severity, e.By, e.Scope))
	}
	if more := len(all) - maxListed; more > 0 {
		out = append(out, fmt.Sprintf("and %d more: cmkguard identities", more))
	}
	return strings.Join(out, "; ")
}

func orUnset(s string) string {
	if s == "" {
		return "no client id is set"
	}
	return s
}

func covered(patterns []string, action string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, action) })
}

// matches compares as Azure does: letters of any case, * for any text, slashes too.
func matches(pattern, action string) bool {
	return wild(strings.ToLower(pattern), strings.ToLower(action))
}

func wild(p, s string) bool {
	head, tail, star := strings.Cut(p, "*")
	if !star {
		return p == s
	}
	rest, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for i := 0; i <= len(rest); i++ {
		if wild(tail, rest[i:]) {
			return true
		}
	}
	return false
}

func last(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

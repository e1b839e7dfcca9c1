package risk_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/risk"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"

	"pgregory.net/rapid"
)

// The slow judge: it lists what is not known about a scene (is the identity in
// this group? does this condition hold? has this grant spread?), tries every
// combination of answers, and in each decides by the plain rule of Azure RBAC.
// True in all of them is ok, in none broken, in some unknown.

// world answers the open questions.
type world map[string]bool

func worlds(questions []string) []world {
	out := []world{{}}
	for _, q := range questions {
		var next []world
		for _, w := range out {
			for _, yes := range []bool{false, true} {
				c := world{q: yes}
				for k, v := range w {
					c[k] = v
				}
				next = append(next, c)
			}
		}
		out = next
	}
	return out
}

func pattern(p string) *regexp.Regexp {
	return regexp.MustCompile(`(?is)\A` + strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*") + `\z`)
}

func gives(blocks []wiring.Permission, action string) bool {
	for _, b := range blocks {
		in, out := false, false
		for _, p := range b.DataActions {
			in = in || pattern(p).MatchString(action)
		}
		for _, p := range b.NotDataActions {
			out = out || pattern(p).MatchString(action)
		}
		if in && !out {
			return true
		}
	}
	return false
}

// above are the scopes that reach the key, written out.
func above() []string {
	return []string{"/", "/providers/microsoft.management/managementgroups/mg", "/subscriptions/" + risktest.Subscription,
		strings.ToLower(risktest.Group), strings.ToLower(risktest.VaultID), keyOf()}
}

func keyOf() string { return strings.ToLower(risktest.VaultID + "/keys/" + risktest.KeyName) }

func (w world) member(s wiring.Wiring, group string) bool {
	if s.Posture.Groups.OK() {
		return slices.Contains(s.Posture.Groups.Value, group)
	}
	return w["group "+group]
}

func (w world) granted(s wiring.Wiring, action string) bool {
	for _, a := range s.Assignments.Value {
		mine := a.PrincipalID == risktest.PrincipalID || a.PrincipalType == "Group" && w.member(s, a.PrincipalID)
		role, known := s.Definitions.Value[a.RoleID]
		right := w["role "+a.RoleID+action]
		if known {
			right = gives(role.Permissions, action)
		}
		holds := (a.Condition == "" || w["condition "+a.ID]) && (clock().Sub(a.UpdatedOn) >= 10*time.Minute || w["spread "+a.ID])
		if mine && right && holds && slices.Contains(above(), strings.ToLower(a.Scope)) {
			return true
		}
	}
	return false
}

func (w world) denied(s wiring.Wiring, action string) bool {
	named := func(list []wiring.Principal) bool {
		for _, p := range list {
			if p.ID == risktest.PrincipalID || p.ID == "00000000-0000-0000-0000-000000000000" || p.Type == "Group" && w.member(s, p.ID) {
				return true
			}
		}
		return false
	}
	if !s.Denies.OK() {
		return w["deny "+action]
	}
	for _, d := range s.Denies.Value {
		here := slices.Contains(above(), d.Scope)
		if d.NotForChildScopes {
			here = d.Scope == keyOf()
		}
		if here && gives(d.Permissions, action) && named(d.Principals) && !named(d.ExcludedPrincipals) {
			return true
		}
	}
	return false
}

func (w world) can(s wiring.Wiring, action string) bool {
	return w.granted(s, action) && !w.denied(s, action)
}

const keyActions = "Microsoft.KeyVault/vaults/keys/"

// slowly judges get, wrap and unwrap, as allow writes them.
func slowly(s wiring.Wiring) string {
	var out []byte
	for _, f := range []func(world) bool{
		func(w world) bool { return w.can(s, keyActions+"read") },
		func(w world) bool { // an RSA key is wrapped with by whoever may read it
			return (w.granted(s, keyActions+"wrap/action") || w.can(s, keyActions+"read")) && !w.denied(s, keyActions+"wrap/action")
		},
		func(w world) bool { return w.can(s, keyActions+"unwrap/action") },
	} {
		yes, no := false, false
		for _, w := range worlds(questions(s)) {
			if f(w) {
				yes = true
			} else {
				no = true
			}
		}
		out = append(out, map[[2]bool]byte{{true, false}: 'o', {false, true}: 'b', {true, true}: 'u'}[[2]bool{yes, no}])
	}
	return string(out)
}

func questions(s wiring.Wiring) []string {
	set := map[string]bool{}
	for _, a := range s.Assignments.Value {
		if a.PrincipalType == "Group" && !s.Posture.Groups.OK() {
			set["group "+a.PrincipalID] = true
		}
		if a.Condition != "" {
			set["condition "+a.ID] = true
		}
		if clock().Sub(a.UpdatedOn) < 10*time.Minute {
			set["spread "+a.ID] = true
		}
		if _, ok := s.Definitions.Value[a.RoleID]; !ok {
			for _, action := range []string{"read", "wrap/action", "unwrap/action"} {
				set["role "+a.RoleID+keyActions+action] = true
			}
		}
	}
	for _, d := range s.Denies.Value {
		for _, p := range slices.Concat(d.Principals, d.ExcludedPrincipals) {
			if p.Type == "Group" && !s.Posture.Groups.OK() {
				set["group "+p.ID] = true
			}
		}
	}
	if !s.Denies.OK() {
		for _, action := range []string{"read", "wrap/action", "unwrap/action"} {
			set["deny "+keyActions+action] = true
		}
	}
	var out []string
	for q := range set {
		out = append(out, q)
	}
	return out
}

func drawPermissions(t *rapid.T) []wiring.Permission {
	p := rapid.SampledFrom([]string{"*", keyActions + "*", keyActions + "read", keyActions + "unwrap/action", keyActions + "WRAP/action",
		"Microsoft.KeyVault/vaults/*/read", "*/action", "Microsoft.KeyVault/vaults/secrets/*"})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wiring.Permission {
		return wiring.Permission{DataActions: rapid.SliceOfN(p, 0, 3).Draw(t, "data"), NotDataActions: rapid.SliceOfN(p, 0, 1).Draw(t, "not")}
	}), 0, 2).Draw(t, "permissions")
}

// drawScene draws grants and denies. Groups that grant, deny and exclude are
// different ones: one group in two roles is a case where the judge may say
// unknown although every world agrees.
func drawScene(t *rapid.T) wiring.Wiring {
	w := risktest.Healthy(clock())
	scope := rapid.SampledFrom(append(above(), keyOf()+"2", "/subscriptions/other", strings.ToLower(risktest.Group)+"-2"))
	w.Definitions.Value = map[string]wiring.RoleDefinition{}
	for _, id := range []string{"/r/a", "/r/b", "/r/c"} {
		if rapid.IntRange(0, 5).Draw(t, id) > 0 {
			w.Definitions.Value[id] = wiring.RoleDefinition{ID: id, Permissions: drawPermissions(t)}
		}
	}
	w.Assignments.Value = nil
	for i := range rapid.IntRange(0, 3).Draw(t, "assignments") {
		who := rapid.SampledFrom([]wiring.Principal{{ID: risktest.PrincipalID}, {ID: risktest.PrincipalID}, {ID: "grant-1", Type: "Group"}, {ID: "somebody"}}).Draw(t, "who")
		w.Assignments.Value = append(w.Assignments.Value, wiring.RoleAssignment{
			ID: "/a/" + string(rune('0'+i)), PrincipalID: who.ID, PrincipalType: who.Type, Scope: scope.Draw(t, "scope"),
			RoleID:    rapid.SampledFrom([]string{"/r/a", "/r/b", "/r/c"}).Draw(t, "role"),
			Condition: rapid.SampledFrom([]string{"", "", "", "x"}).Draw(t, "condition"),
			UpdatedOn: clock().Add(-rapid.SampledFrom([]time.Duration{time.Hour, time.Hour, 10 * time.Minute, time.Minute}).Draw(t, "age")),
		})
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "denies") {
		d := wiring.DenyAssignment{ID: "/d", Scope: scope.Draw(t, "deny scope"), NotForChildScopes: rapid.Bool().Draw(t, "here only"), Permissions: drawPermissions(t)}
		d.Principals = []wiring.Principal{rapid.SampledFrom([]wiring.Principal{{ID: risktest.PrincipalID}, {ID: "00000000-0000-0000-0000-000000000000"},
			{ID: "deny-1", Type: "Group"}, {ID: "somebody"}}).Draw(t, "denied")}
		if rapid.Bool().Draw(t, "excludes") {
			d.ExcludedPrincipals = []wiring.Principal{rapid.SampledFrom([]wiring.Principal{{ID: risktest.PrincipalID}, {ID: "exclude-1", Type: "Group"}, {ID: "somebody"}}).Draw(t, "excluded")}
		}
		w.Denies.Value = append(w.Denies.Value, d)
	}
	if rapid.IntRange(0, 9).Draw(t, "denies refused") == 0 {
		w.Denies = wiring.Failed[[]wiring.DenyAssignment]("arm", clock(), "403")
	}
	if rapid.Bool().Draw(t, "groups read") {
		groups(rapid.SliceOf(rapid.SampledFrom([]string{"grant-1", "deny-1", "exclude-1"})).Draw(t, "groups")...)(&w)
	}
	return w
}

func TestTheJudgeAgreesWithTheSlowOne(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := drawScene(t)
		a := access(w)
		want := slowly(w)
		seen[want]++
		if allow(a) != want {
			t.Fatalf("judged %s, every world says %s; why %q\nassignments %+v\nroles %+v\ndenies %+v\ngroups %+v",
				allow(a), want, a.Why, w.Assignments.Value, w.Definitions.Value, w.Denies.Value, w.Posture.Groups)
		}
		if a.Answer() == risk.OK && want != "ooo" {
			t.Fatalf("%s is no ok", want)
		}
	})
	if len(seen) < 4 && !testing.Short() { // in short there are too few scenes to say so
		t.Errorf("the scenes were all alike: %v", seen)
	}
}

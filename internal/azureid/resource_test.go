package azureid

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"cmkguard/internal/fault"
)

const clusterID = "/subscriptions/AAAA/resourceGroups/RG-One/providers/Microsoft.Cache/redisEnterprise/Redis-1"

func TestParseResourceForms(t *testing.T) {
	for _, c := range []struct{ raw, typ, sub, rg, name string }{
		{clusterID, TypeRedisEnterprise, "aaaa", "RG-One", "Redis-1"},
		{" " + clusterID + "/ ", TypeRedisEnterprise, "aaaa", "RG-One", "Redis-1"},
		{clusterID + "/databases/default", TypeRedisEnterprise + "/databases", "aaaa", "RG-One", "default"},
		{"/SUBSCRIPTIONS/aaaa/RESOURCEGROUPS/g/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/kv", TypeVault, "aaaa", "g", "kv"},
		{clusterID + "/providers/Microsoft.Authorization/roleAssignments/x", TypeRoleAssignment, "aaaa", "RG-One", "x"},
		{"/subscriptions/a/providers/Microsoft.Authorization/roleDefinitions/r", TypeRoleDefinition, "a", "", "r"},
		{"/providers/Microsoft.Authorization/roleDefinitions/r", TypeRoleDefinition, "", "", "r"},
		{"/providers/Microsoft.Management/managementGroups/m", "microsoft.management/managementgroups", "", "", "m"},
		{"/subscriptions/a", "microsoft.resources/subscriptions", "a", "", "a"},
		{"/subscriptions/a/resourcegroups/g", "microsoft.resources/resourcegroups", "a", "g", "g"},
		{"/subscriptions/{subscription-id}/resourceGroups/g", "microsoft.resources/resourcegroups", "{subscription-id}", "g", "g"},
	} {
		r, err := ParseResource(c.raw)
		if err != nil || r.Type() != c.typ || r.Subscription() != c.sub || r.ResourceGroup() != c.rg || r.Name() != c.name {
			t.Errorf("%q: type %q sub %q group %q name %q, %v", c.raw, r.Type(), r.Subscription(), r.ResourceGroup(), r.Name(), err)
		}
		if r.Key() != strings.ToLower(strings.Trim(c.raw, " /")) && "/"+strings.ToLower(strings.Trim(c.raw, " /")) != r.Key() {
			t.Errorf("%q: key %q", c.raw, r.Key())
		}
	}
}

func TestParseResourceRefusals(t *testing.T) {
	for _, raw := range []string{
		"", "/", "//", "subscriptions/a", "https://management.azure.com/subscriptions/a", "/subscriptions", "/subscriptions//resourceGroups/g",
		"/subscriptions/a/resourceGroups", "/subscriptions/a/other/b", clusterID + "/databases", "/subscriptions/a/providers/P", "/subscriptions/a/providers/P/T",
		"/providers", "/a/b/c", "/subscriptions/../x", "/subscriptions/./x", "/subscriptions/a?x=1", "/subscriptions/a#b", `/subscriptions/a\b`,
		"/subscriptions/a\x00", "/subscriptions/ /resourceGroups/g", "/subscriptions/a /resourceGroups/g", "/subscriptions/a/resourceGroups/g\u00a0/providers/P/T/N", "/subscriptions/" + strings.Repeat("a", maxResource),
		"/subscriptions/a\nb", "/subscriptions/a/resourceGroups/g/providers/P/providers/T/N",
	} {
		if r, err := ParseResource(raw); !fault.Is(err, fault.Invalid) || !r.IsZero() {
			t.Errorf("%q: got %+v, %v", raw, r, err)
		}
	}
}

func TestMustResourcePanicsOnWhatParseRefuses(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	MustResource("x")
}

func TestCoversStopsAtNames(t *testing.T) {
	cluster := MustResource(clusterID)
	for scope, want := range map[string]bool{
		clusterID: true, strings.ToUpper(clusterID): true, "/subscriptions/aaaa": true, "/subscriptions/aaaa/resourceGroups/rg-one/": true,
		"/subscriptions/aaa": false, "/subscriptions/aaaa/resourceGroups/rg-on": false, "/subscriptions/aaaa/resourceGroups/rg-one2": false,
		strings.TrimSuffix(clusterID, "1"): false, clusterID + "/databases/default": false,
	} {
		if got := MustResource(scope).Covers(cluster); got != want {
			t.Errorf("%s: %v", scope, got)
		}
	}
	if (Resource{}).Covers(cluster) {
		t.Error("no resource covers a cluster")
	}
}

func TestScopesAreNearestFirst(t *testing.T) {
	for raw, want := range map[string][]string{
		clusterID:                                {strings.ToLower(clusterID), "/subscriptions/aaaa/resourcegroups/rg-one", "/subscriptions/aaaa"},
		"/subscriptions/A/resourceGroups/G":      {"/subscriptions/a/resourcegroups/g", "/subscriptions/a"},
		"/subscriptions/A":                       {"/subscriptions/a"},
		"/providers/Microsoft.Management/m/Name": {"/providers/microsoft.management/m/name"},
	} {
		got := MustResource(raw).Scopes()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v", raw, got)
		}
		for _, s := range got {
			if !MustResource(s).Covers(MustResource(raw)) {
				t.Errorf("%s does not cover %s", s, raw)
			}
		}
	}
}

func TestResourceJSON(t *testing.T) {
	b, err := json.Marshal(MustResource(clusterID))
	var r Resource
	if err != nil || json.Unmarshal(b, &r) != nil || r.String() != clusterID || !r.Equal(MustResource(strings.ToUpper(clusterID))) {
		t.Errorf("%s: %+v, %v", b, r, err)
	}
	if err := json.Unmarshal([]byte(`""`), &r); err != nil || !r.IsZero() {
		t.Errorf("empty: %+v, %v", r, err)
	}
	for _, text := range []string{`7`, `"x"`} {
		if err := json.Unmarshal([]byte(text), &r); err == nil {
			t.Errorf("%s: taken", text)
		}
	}
}

// What is taken for a resource id is the same one in any case and after it was
// written out, lies in its own scopes, and holds nothing that could leave a URL's
// path.
func FuzzParseResourceID(f *testing.F) {
	for _, s := range []string{
		clusterID, clusterID + "/providers/Microsoft.Authorization/roleAssignments/x", "/providers/Microsoft.Management/managementGroups/m",
		"/subscriptions/a/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/kv", "/subscriptions/a/resourceGroups/g", "/subscriptions/..",
		"//", "", " /subscriptions/a/ ", "/subscriptions/a?x", "/SUBSCRIPTIONS/\u0130/providers/p/t/n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := ParseResource(raw)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || !r.IsZero() {
				t.Fatalf("%q: %+v, %v", raw, r, err)
			}
			return
		}
		again, err := ParseResource(r.String())
		if err != nil || again != r || strings.ContainsAny(r.String(), "?#\\\r\n\x00") {
			t.Fatalf("%q became %+v and then %+v, %v", raw, r, again, err)
		}
		for _, s := range r.Scopes() {
			scope, err := ParseResource(s)
			if err != nil || !scope.Covers(r) {
				t.Fatalf("%q lies in %q, which does not cover it: %v", raw, s, err)
			}
		}
	})
}

package restoregrant_test

import (
	"context"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy/restoregrant"
	"cmkguard/internal/wiring"
)

type vaults struct{ fact wiring.Fact[wiring.Vault] }

func (v vaults) Vault(context.Context, azureid.Resource) wiring.Fact[wiring.Vault] { return v.fact }

func (v vaults) AddAccess(context.Context, azureid.Resource, string, []string, string) error {
	return nil
}

// What an addition to an access policy sees right before it is sent.
func TestAnAccessPolicyIsReadRightBefore(t *testing.T) {
	t.Parallel()
	const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v"
	p := plan.Plan{Subject: event.Subject{Kind: event.SubjectCluster, ID: "c"}, Steps: []plan.Step{{Target: id, Args: map[string]string{"objectId": "me"}}}}
	entry := func(who, app string, keys ...string) wiring.Vault {
		return wiring.Vault{TenantID: "t", Policies: []wiring.AccessPolicy{{TenantID: "t", ObjectID: who, ApplicationID: app, Keys: keys}}}
	}
	at := time.Unix(1790000000, 0)
	for name, c := range map[string]struct {
		fact       wiring.Fact[wiring.Vault]
		done, stop bool
	}{
		"nothing":        {wiring.Read(wiring.Vault{TenantID: "t"}, "GET", at), false, false},
		"some of it":     {wiring.Read(entry("me", "", "get", "wrapKey"), "GET", at), false, false},
		"all of it":      {wiring.Read(entry("ME", "", "Get", "WrapKey", "UnwrapKey", "list"), "GET", at), true, false},
		"everything":     {wiring.Read(entry("me", "", "all"), "GET", at), true, false},
		"another's":      {wiring.Read(entry("you", "", "all"), "GET", at), false, false},
		"with an app":    {wiring.Read(entry("me", "app", "all"), "GET", at), false, false},
		"roles since":    {wiring.Read(wiring.Vault{TenantID: "t", RBAC: true}, "GET", at), false, true},
		"the vault gone": {wiring.NotThere[wiring.Vault]("GET", at, "404"), false, true},
	} {
		e, err := restoregrant.Effect(nil, vaults{c.fact}, p, "p")
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.Look(t.Context(), time.Time{})
		if err != nil || s.Done != c.done || (s.Stop != "") != c.stop {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	e, err := restoregrant.Effect(nil, vaults{wiring.Failed[wiring.Vault]("GET", at, "403")}, p, "p")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Look(t.Context(), time.Time{}); !fault.Is(err, fault.Transient) {
		t.Errorf("%v", err)
	}
}

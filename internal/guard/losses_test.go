package guard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
)

// declared is what the worlds' policy says that a remedy writes.
func declared(remedy string) (d policy.Declared) {
	switch remedy {
	case plan.SetRotationPolicy:
		d.Rotation = policy.Rotation{RotateAfter: "P365D", ExpiryTime: "P2Y", NotifyBefore: "P30D"}
	case plan.RestoreDiagnostics:
		d.Diagnostics = policy.Diagnostics{Name: "cmkguard", Workspace: workspace, HubRule: hubRule, Hub: "logs"}
	case plan.RestoreGrant:
		d.AccessPolicies = true
	case plan.RecreateEvents:
		d.Events = policy.Events{Topic: "cmkguard-{vault}", Name: "cmkguard", Function: function, Identity: delivery, DeadStore: deadStore, DeadBox: "cmkguard-deadletter"}
	}
	return d
}

const (
	workspace = root + "Microsoft.OperationalInsights/workspaces/log"
	hubRule   = root + "Microsoft.EventHub/namespaces/eh/authorizationRules/send"
	function  = root + "Microsoft.Web/sites/cmkguard/functions/keyvaultevents"
	delivery  = root + "Microsoft.ManagedIdentity/userAssignedIdentities/id-delivery"
	deadStore = root + "Microsoft.Storage/storageAccounts/stguard"
	topicOf   = root + "Microsoft.EventGrid/systemTopics/cmkguard-kv-a"
)

// losses are what a policy may have mended without a person: nobody's no.
func losses() map[string]revocation {
	return map[string]revocation{
		"no rotation policy": {
			revoke: func(w *world) { w.rotation(azuresim.Rotation{}) }, check: "CMK-021", remedy: plan.SetRotationPolicy,
			back: func(w *world) bool { return w.rotationText() == "P2Y [{Rotate P365D } {Notify  P30D}]" },
		},
		"no audit log": {
			revoke: func(*world) {}, check: "CMK-040", remedy: plan.RestoreDiagnostics, back: (*world).audited,
		},
		"no event subscription": {
			revoke: func(*world) {}, check: "CMK-063", remedy: plan.RecreateEvents, back: (*world).hears,
		},
	}
}

// changesOf is how many changes of the world a remedy takes.
func changesOf(remedy string) int {
	if remedy == plan.RecreateEvents || remedy == plan.Quarantine { // the topic and the subscription; the key and the cluster
		return 2
	}
	return 1
}

// hears reports whether the vault's events lead to us, as infra/vault.bicep has it.
func (w *world) hears() bool {
	topic, list := w.sim.Events(host)
	if topic != topicOf || len(list) != 1 {
		return false
	}
	p, _ := list[0]["properties"].(map[string]any)
	text := fmt.Sprint(p)
	for _, part := range []string{function, delivery, deadStore, "cmkguard-deadletter", "CloudEventSchemaV1_0", "KeyNearExpiry", "VaultAccessPolicyChanged", "maxDeliveryAttempts:30"} {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return p["provisioningState"] == "Succeeded"
}

// audited reports whether the vault's setting is as the policy declares it.
func (w *world) audited() bool {
	for _, s := range w.sim.Diagnostics(host) {
		p, _ := s["properties"].(map[string]any)
		if s["name"] == "cmkguard" {
			return p["workspaceId"] == workspace && p["eventHubAuthorizationRuleId"] == hubRule && p["eventHubName"] == "logs" && strings.Contains(fmt.Sprint(p["logs"]), "AuditEvent")
		}
	}
	return false
}

func (w *world) rotation(r azuresim.Rotation) {
	w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Keys["kek"].Rotation = r })
}

func (w *world) rotationText() string {
	r := w.vault().Keys["kek"].Rotation
	return fmt.Sprint(r.ExpiryTime, " ", r.Actions)
}

// young is a world whose key is far from any rotation, with what the policy declares
// for one remedy.
func young(t *testing.T, remedy string, change func(*setup)) *world {
	t.Helper()
	o := setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true, declare: declared(remedy)}
	if change != nil {
		change(&o)
	}
	w := newWorld(t, o)
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = nil })
	return w
}

// What is lost and nobody took away is mended by itself, once, and read back.
func TestLossesAreMendedOnce(t *testing.T) {
	t.Parallel()
	for name, r := range losses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := young(t, r.remedy, nil)
			r.revoke(w)
			w.look()
			w.run(4)
			if !r.back(w) || w.changes() != changesOf(r.remedy) {
				t.Fatalf("mended: %v, %d changes", r.back(w), w.changes())
			}
			if !w.told.has(r.check, "Fixed") || !w.told.has("", "Done: "+r.remedy) {
				t.Fatal("people were not told of the end")
			}
		})
	}
}

// Key Vault's default (or none), an unsound policy and half of one are mended with
// as little change as makes them sound.
func TestSoundPartsOfARotationPolicyStay(t *testing.T) {
	t.Parallel()
	notify := azuresim.RotationAction{Type: "notify", TimeBeforeExpiry: "P45D"}
	for name, c := range map[string]struct {
		have azuresim.Rotation
		want string
	}{
		"a notice alone":     {azuresim.Rotation{Actions: []azuresim.RotationAction{notify}}, "P2Y [{Rotate P365D } {Notify  P45D}]"},
		"an expiry alone":    {azuresim.Rotation{ExpiryTime: "P18M"}, "P18M [{Rotate P365D } {Notify  P30D}]"},
		"no notice":          {azuresim.Rotation{ExpiryTime: "P1Y", Actions: []azuresim.RotationAction{{Type: "Rotate", TimeBeforeExpiry: "P60D"}}}, "P1Y [{Rotate  P60D} {Notify  P30D}]"},
		"too short a life":   {azuresim.Rotation{ExpiryTime: "P20D", Actions: []azuresim.RotationAction{{Type: "Rotate", TimeAfterCreate: "P90D"}, notify}}, "P2Y [{Rotate P90D } {Notify  P45D}]"},
		"too late":           {azuresim.Rotation{ExpiryTime: "P400D", Actions: []azuresim.RotationAction{{Type: "Rotate", TimeAfterCreate: "P399D"}, notify}}, "P400D [{Rotate P365D } {Notify  P45D}]"},
		"notice before life": {azuresim.Rotation{ExpiryTime: "P1Y", Actions: []azuresim.RotationAction{{Type: "Notify", TimeBeforeExpiry: "P2Y"}}}, "P2Y [{Rotate P365D } {Notify  P30D}]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := young(t, plan.SetRotationPolicy, func(o *setup) { o.azure.DefaultNotify = name == "an expiry alone" })
			if c.have.ExpiryTime == "P1Y" { // as if made under it
				w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { at := v.Created.AddDate(1, 0, 0); v.Expires = &at })
			}
			w.rotation(c.have)
			w.look()
			w.run(2)
			if got := w.rotationText(); got != c.want || w.changes() != 1 {
				t.Fatalf("%s after %d changes, want %s", got, w.changes(), c.want)
			}
			if w.told.has("CMK-022", "") && !w.told.has("CMK-022", "Fixed") {
				t.Fatal("CMK-022 stays open")
			}
		})
	}
}

// A policy that makes Key Vault rotate is held like a rotation, and never guessed.
func TestARotationPolicyIsHeldLikeARotation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		says   string
	}{
		"nothing declared": {func(w *world) { w.g.Policy.Declared = policy.Declared{} }, "set rotationPolicy"},
		"imported":         {func(w *world) { w.g.Policy.ImportedMaterial = []string{"kv-a/*"} }, "import a version, then approve the rewire"},
		"no rotation":      {func(w *world) { w.g.Policy.Remedies[plan.Rotate] = policy.Off }, "off (cache-a"},
		"no rewire":        {func(w *world) { w.g.Policy.Remedies[plan.Rewire] = policy.DryRun }, "dry run (cache-a"},
		"cannot unwrap":    {func(w *world) { w.sim.Unassign(who) }, "CMK-050"},
		"a version on top": {func(w *world) { w.sim.AddVersion(w.key, azuresim.KeyOptions{}) }, "does not use the newest version"},
		"overdue": {func(w *world) {
			w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Created = v.Created.Add(-400 * 24 * time.Hour) })
		}, "Rotate the key first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := young(t, plan.SetRotationPolicy, nil)
			w.rotation(azuresim.Rotation{})
			c.change(w)
			w.hint()
			w.run(2)
			if n := w.sim.Count(http.MethodPut, "/rotationpolicy"); n != 0 {
				t.Fatalf("%d policies were set", n)
			}
			if !w.told.has("CMK-021", c.says) && !w.told.asks(c.says) {
				t.Fatalf("people were not told %q", c.says)
			}
		})
	}
}

// Whatever became of the request, the policy is set once; one that somebody else
// set meanwhile stays.
func TestARotationPolicyWhoseAnswerLies(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]azuresim.Fault{
		"cut":       {Mode: azuresim.Drop},
		"late":      {Mode: azuresim.Late, Status: 504, Code: "Timeout", Delay: 100 * time.Second},
		"throttled": {Mode: azuresim.Refuse, Status: 429, Code: "Throttled", Retry: "30"},
		"refused":   {Mode: azuresim.Refuse, Status: 403, Code: "Forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := young(t, plan.SetRotationPolicy, nil)
			w.rotation(azuresim.Rotation{})
			f.Method, f.Path, f.Times = http.MethodPut, "/keys/kek/rotationpolicy", 2
			if f.Mode != azuresim.Refuse {
				f.Times = 1
			}
			w.sim.Inject(f)
			w.hint()
			w.run(1)
			refused := name == "refused"
			if refused == (w.rotationText() == "P2Y [{Rotate P365D } {Notify  P30D}]") || refused != w.told.has("", "Stopped: set-rotation-policy") {
				t.Fatalf("%s, %d requests", w.rotationText(), w.sim.Count(http.MethodPut, "/rotationpolicy"))
			}
		})
	}
}

// look has the key looked at as the sweep does.
func (w *world) look() {
	w.t.Helper()
	w.g.Reconcile = 24 * time.Hour
	must(w.t, w.g.Sweep(ctx))
}

package survey_test

import (
	"context"
	"testing"
	"time"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

const (
	rg        = "/subscriptions/" + sub + "/resourceGroups/rg-cache-prod"
	kvHost    = "kv-orders-cmk.vault.azure.net"
	kvID      = base + "Microsoft.KeyVault/vaults/kv-orders-cmk"
	uami      = base + "Microsoft.ManagedIdentity/userAssignedIdentities/id-cmk"
	topic     = base + "Microsoft.EventGrid/systemTopics/kv-events"
	principal = "22222222-2222-2222-2222-222222222222"
	observer  = "55555555-5555-5555-5555-555555555555"
	locksPath = "/subscriptions/" + sub + "/providers/Microsoft.Authorization/locks"
	planPath  = "/subscriptions/" + sub + "/providers/Microsoft.Security/pricings/KeyVaults"
)

// estate is a simulated Azure in which every check is OK, over HTTPS.
type estate struct {
	sim    *azuresim.Sim
	survey *survey.Survey
	key    azureid.Key
}

func value(items ...any) map[string]any { return map[string]any{"value": append([]any{}, items...)} }

type object = map[string]any

func newEstate(t *testing.T) *estate {
	t.Helper()
	e := &estate{sim: azuresim.New(azuresim.Options{Seed: 1, NoAdopt: true})}
	now := e.sim.Clock().Now()
	tags := map[string]string{"owner": "team-orders", "costCentre": "4711"}
	id := azureid.MustResource(uami)
	e.sim.AddVault(azuresim.Vault{ID: azureid.MustResource(kvID), RBAC: true, SoftDelete: true, PurgeProtection: true, Location: "westeurope",
		PublicNetworkAccess: "Disabled", Bypass: "AzureServices", DefaultAction: "Deny", Tags: tags})
	expires := now.AddDate(1, 0, 0)
	e.key = e.sim.AddKey(kvHost, "redis-kek", azuresim.KeyOptions{Created: now.AddDate(0, 0, -60), Expires: &expires, Type: "RSA-HSM", Tags: tags,
		Policy: azuresim.Rotation{ExpiryTime: "P1Y", Actions: []azuresim.RotationAction{
			{Type: "Rotate", TimeAfterCreate: "P90D"}, {Type: "Notify", TimeBeforeExpiry: "P30D"}}}})
	e.sim.AddIdentity(azuresim.Identity{ID: id, PrincipalID: principal, ClientID: "33333333-3333-3333-3333-333333333333"})
	e.sim.AddCluster(azuresim.Cluster{ID: orders(), Kind: "v2", SKU: "Balanced_B10", Location: "West Europe", Tags: tags, Identities: []azureid.Resource{id},
		CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: id, KeyURL: e.key.String()}})
	e.sim.Assign(kvID, azuresim.RoleCryptoServiceEncryptionUser, principal)
	e.sim.AddCaller(azuresim.Caller{Name: "observer", ObjectID: observer, Token: simToken, Reads: true})
	e.sim.Assign(kvID, azuresim.RoleReader, observer)
	e.documents()
	e.connect(t)
	return e
}

func (e *estate) documents() {
	e.sim.SetDocument(kvID+"/providers/Microsoft.Insights/diagnosticSettings", value(object{"name": "audit", "properties": object{
		"workspaceId": rg + "/providers/Microsoft.OperationalInsights/workspaces/log", "logs": []any{object{"category": "AuditEvent", "enabled": true}}}}))
	e.sim.SetDocument(locksPath, value(object{"id": rg + "/providers/Microsoft.Authorization/locks/keep", "properties": object{"level": "CanNotDelete"}}))
	e.metrics(100, 3)
	e.sim.SetDocument(planPath, object{"properties": object{"pricingTier": "Standard"}})
	e.sim.AddGraphRow("resources", object{"id": topic, "type": "Microsoft.EventGrid/systemTopics", "properties": object{"source": kvID}})
	e.events("Succeeded")
	e.policy("Compliant")
}

func (e *estate) metrics(availability, saturation float64) {
	series := func(name string, p object) object {
		return object{"name": object{"value": name}, "timeseries": []any{object{"data": []any{p}}}}
	}
	e.sim.SetDocument(kvID+"/providers/Microsoft.Insights/metrics",
		value(series("Availability", object{"average": availability}), series("SaturationShoebox", object{"maximum": saturation})))
}

func (e *estate) events(state string) {
	e.sim.SetDocument(topic+"/eventSubscriptions", value(object{"id": topic + "/eventSubscriptions/cmkguard", "properties": object{
		"provisioningState": state, "destination": object{"endpointType": "AzureFunction",
			"properties": object{"resourceId": rg + "/providers/Microsoft.Web/sites/cmkguard/functions/keyvaultevents"}}}}))
}

func (e *estate) policy(state string) {
	e.sim.AddGraphRow("policyresources", object{"id": orders().String() + "/providers/Microsoft.PolicyInsights/policyStates/1", "type": "Microsoft.PolicyInsights/policyStates",
		"properties": object{"policyDefinitionName": "09aa11bb-87ec-409f-bf0b-49b7c1561a87", "resourceId": orders().String(), "complianceState": state, "policyAssignmentId": "/p/cmk"}})
}

func (e *estate) connect(t *testing.T) {
	t.Helper()
	srv, err := e.sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	path, err := srv.WriteProfile(t.TempDir(), simToken)
	if err != nil {
		t.Fatal(err)
	}
	p, err := cloud.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := p.Credential("")
	if err != nil {
		t.Fatal(err)
	}
	if e.survey, err = survey.Connect(p, cred, []string{sub}, p.Clock()); err != nil {
		t.Fatal(err)
	}
}

// judge reads everything that the adapters read and asks every check. What logs
// say is no adapter's business yet: those three facts are put in by hand.
func (e *estate) judge(t *testing.T) []risk.Verdict {
	t.Helper()
	run := e.survey.Run()
	return e.judged(t, run, run.Wiring(context.Background(), orders()))
}

func (e *estate) judged(t *testing.T, run *survey.Run, w wiring.Wiring) []risk.Verdict {
	t.Helper()
	e.sim.Clock().Advance(10 * time.Second) // Resource Graph counts queries by time
	ctx, now := context.Background(), e.sim.Clock().Now()
	w = run.Around(ctx, w, survey.Options{Depth: survey.DepthDaily,
		OwnAlerts: []string{"rotation-failure", "pending-expiry", "access-change"}})
	w.Posture.Use = wiring.Read(wiring.KeyUse{Version: w.Key().Version, Last: now, Count: 1}, "log", now)
	w.Posture.Backups = wiring.Read([]wiring.KeyEvent{}, "log", now)
	w.Posture.Changes = wiring.Read([]wiring.Change{}, "log", now)
	out := risk.Judge(w, risk.Defaults(), now, risk.Everything())
	others, err := run.Classic(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range others {
		out = append(out, risk.Judge(o, risk.Defaults(), now, risk.Everything())...)
	}
	return out
}

func count(vs []risk.Verdict, a risk.Answer) (out []string) {
	for _, v := range vs {
		if v.Answer == a {
			out = append(out, v.Check+": "+v.Why)
		}
	}
	return out
}

func TestAHealthyEstateHasNothingBrokenAndNothingUnknown(t *testing.T) {
	t.Parallel()
	vs := newEstate(t).judge(t)
	if len(vs) != len(risk.Catalogue()) {
		t.Errorf("%d verdicts of %d checks", len(vs), len(risk.Catalogue()))
	}
	for _, v := range vs {
		if v.Answer != risk.OK || len(v.Evidence) == 0 {
			t.Errorf("%s: %s: %s", v.Check, v.Answer, v.Why)
		}
		for _, ev := range v.Evidence {
			if ev.Call == "" || ev.At.IsZero() || ev.Value == "" {
				t.Errorf("%s: a read without call, time or value: %+v", v.Check, ev)
			}
		}
	}
}

package azuresim_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azuresim"
)

// estate is a sample world over HTTPS, its owner's key client, and what it told.
type estate struct {
	sim    *azuresim.Sim
	m      azuresim.Sample
	keys   *azkeys.Client
	opts   azcore.ClientOptions
	events []map[string]any
	audit  []map[string]any
}

func newEstate(t *testing.T, o azuresim.Options) *estate {
	t.Helper()
	e := &estate{}
	decode := func(into *[]map[string]any) func([]byte) {
		return func(raw []byte) {
			var v map[string]any
			if err := json.Unmarshal(raw, &v); err != nil {
				t.Error(err)
			}
			*into = append(*into, v)
		}
	}
	o.OnEvent, o.OnAudit = decode(&e.events), decode(&e.audit)
	e.sim = azuresim.New(o)
	e.m = e.sim.AddSample("v2", 365*24*time.Hour)
	server, err := e.sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	path, err := server.WriteProfile(t.TempDir(), e.m.Token)
	if err != nil {
		t.Fatal(err)
	}
	profile, err := cloud.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := profile.Credential("")
	if err != nil {
		t.Fatal(err)
	}
	e.opts = profile.ClientOptions(cloud.NoRetry())
	e.keys, err = azkeys.NewClient("https://"+e.m.Host, cred, &azkeys.ClientOptions{ClientOptions: e.opts})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// says fails unless err is the service's answer with the status and the code,
// outer or inner.
func says(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	var re *azcore.ResponseError
	if !errors.As(err, &re) || re.StatusCode != status || !strings.Contains(err.Error(), code) {
		t.Errorf("%s: %v, want %d %s", what, err, status, code)
	}
}

func (e *estate) operations() []string {
	var out []string
	for _, r := range e.audit {
		out = append(out, r["operationName"].(string))
	}
	return out
}

func (e *estate) event(typ string) map[string]any {
	for _, v := range e.events {
		if v["eventType"] == typ || v["type"] == typ {
			return v
		}
	}
	return nil
}

func TestAKeysLifeThroughTheSDK(t *testing.T) {
	t.Parallel()
	e := newEstate(t, azuresim.Options{})
	ctx := context.Background()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	made, err := e.keys.CreateKey(ctx, "fresh", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSA), KeySize: to.Ptr(int32(2048))}, nil)
	must("create", err)
	_, err = e.keys.UpdateKey(ctx, "fresh", made.Key.KID.Version(), azkeys.UpdateKeyParameters{KeyAttributes: &azkeys.KeyAttributes{Enabled: to.Ptr(false)}}, nil)
	must("update", err)
	got, err := e.keys.GetKey(ctx, "fresh", "", nil)
	must("get", err)
	if *got.Attributes.Enabled {
		t.Error("a disabled version is enabled")
	}
	_, err = e.keys.ImportKey(ctx, "fresh", azkeys.ImportKeyParameters{Key: &azkeys.JSONWebKey{Kty: to.Ptr(azkeys.KeyTypeRSA)}}, nil)
	must("import", err)
	_, err = e.keys.UpdateKeyRotationPolicy(ctx, "fresh", azkeys.KeyRotationPolicy{
		Attributes:      &azkeys.KeyRotationPolicyAttributes{ExpiryTime: to.Ptr("P1Y")},
		LifetimeActions: []*azkeys.LifetimeAction{{Action: &azkeys.LifetimeActionType{Type: to.Ptr(azkeys.KeyRotationPolicyActionRotate)}, Trigger: &azkeys.LifetimeActionTrigger{TimeAfterCreate: to.Ptr("P90D")}}},
	}, nil)
	must("policy", err)
	gone, err := e.keys.DeleteKey(ctx, "fresh", nil)
	must("delete", err)
	if days := gone.ScheduledPurgeDate.Sub(*gone.DeletedDate).Hours() / 24; days != 90 {
		t.Errorf("purged after %v days, want 90", days)
	}
	_, err = e.keys.GetKey(ctx, "fresh", "", nil)
	says(t, "a deleted key", err, http.StatusNotFound, "KeyNotFound")
	_, err = e.keys.CreateKey(ctx, "fresh", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSA)}, nil)
	says(t, "its name again", err, http.StatusConflict, "ObjectIsDeletedButRecoverable")
	_, err = e.keys.PurgeDeletedKey(ctx, "fresh", nil)
	says(t, "purging under protection", err, http.StatusForbidden, "purge protection")
	_, err = e.keys.RecoverDeletedKey(ctx, "fresh", nil)
	must("recover", err)
	if _, err = e.keys.GetKey(ctx, "fresh", "", nil); err != nil {
		t.Errorf("recovered: %v", err)
	}
	if e.event("Microsoft.KeyVault.KeyNewVersionCreated") == nil {
		t.Error("no event of the new version")
	}
	for _, name := range []string{"KeyCreate", "KeyUpdate", "KeyImport", "KeyRotationPolicySet", "KeyDelete", "KeyPurge", "KeyRecover"} {
		if !strings.Contains(strings.Join(e.operations(), " ")+" ", name+" ") {
			t.Errorf("%s is not in the log: %v", name, e.operations())
		}
	}
}

func TestPurgeWithoutProtectionAndWithoutAGrant(t *testing.T) {
	t.Parallel()
	e := newEstate(t, azuresim.Options{})
	e.sim.ChangeVault(e.m.Host, func(v *azuresim.Vault) { v.PurgeProtection = false })
	ctx := context.Background()
	if _, err := e.keys.DeleteKey(ctx, "kek", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := e.keys.PurgeDeletedKey(ctx, "kek", nil); err != nil {
		t.Fatal(err)
	}
	_, err := e.keys.GetDeletedKey(ctx, "kek", nil)
	says(t, "a purged key", err, http.StatusNotFound, "KeyNotFound")
	e.sim.Unassign(e.m.Guard)
	_, err = e.keys.DeleteKey(ctx, "kek", nil)
	says(t, "without a grant", err, http.StatusForbidden, "ForbiddenByRbac")
	if e.event("Microsoft.Resources.ResourceDeleteSuccess") == nil {
		t.Error("a removed role assignment made no event")
	}
}

func TestTimeRotatesAnnouncesAndExpires(t *testing.T) {
	t.Parallel()
	e := newEstate(t, azuresim.Options{CloudEvents: true})
	e.sim.AddKey(e.m.Host, "own", azuresim.KeyOptions{Expires: to.Ptr(e.sim.Clock().Now().AddDate(0, 3, 0)), Policy: azuresim.Rotation{
		ExpiryTime: "P1Y", Actions: []azuresim.RotationAction{{Type: "Rotate", TimeAfterCreate: "P2M"}, {Type: "Notify", TimeBeforeExpiry: "P20D"}}}})
	own := e.m.Key
	own.Name = "own"
	e.sim.Clock().Advance(61 * 24 * time.Hour)
	if n := len(e.sim.Versions(own)); n != 2 {
		t.Fatalf("%d versions after two months, want 2: Key Vault rotates by itself", n)
	}
	e.sim.Clock().Advance(40 * 24 * time.Hour)
	_ = e.sim.Cluster(e.m.Cluster)
	if _, err := e.keys.GetKey(context.Background(), "own", "", nil); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"KeyNewVersionCreated", "KeyNearExpiry", "KeyExpired"} {
		v := e.event("Microsoft.KeyVault." + typ)
		if v == nil || v["specversion"] != "1.0" {
			t.Errorf("%s: %v", typ, v)
		}
	}
	if !strings.Contains(strings.Join(e.operations(), " "), "KeyRotateIfDue") {
		t.Errorf("the log: %v", e.operations())
	}
}

func TestADeletedKeyTakesItsClusterOffline(t *testing.T) {
	t.Parallel()
	e := newEstate(t, azuresim.Options{})
	e.sim.DeleteKey(e.m.Key)
	e.sim.Clock().Advance(2 * time.Hour)
	if s := e.sim.Cluster(e.m.Cluster).ResourceState; s != "Disabled" {
		t.Fatalf("the cluster is %s", s)
	}
	e.sim.RecoverKey(e.m.Key)
	if s := e.sim.Cluster(e.m.Cluster).ResourceState; s != "Running" {
		t.Fatalf("the cluster is %s after the recovery", s)
	}
	log := strings.Join(e.operations(), " ")
	if log != "KeyDelete KeyUnwrap KeyRecover" {
		t.Errorf("the log: %s", log)
	}
}

func TestHungAnswers(t *testing.T) {
	t.Parallel()
	for mode, versions := range map[azuresim.Mode]int{azuresim.Hang: 1, azuresim.Stuck: 2} {
		e := newEstate(t, azuresim.Options{})
		if _, err := e.keys.GetKey(context.Background(), "kek", "", nil); err != nil {
			t.Fatal(err)
		}
		e.sim.Inject(azuresim.Fault{Method: http.MethodPost, Path: "/keys/kek/rotate", Times: 1, Mode: mode})
		ctx, cancel := context.WithCancel(context.Background())
		e.sim.SetTap(func(*http.Request) *azuresim.Fault { go cancel(); return nil }) // the caller gives up
		if _, err := e.keys.RotateKey(ctx, "kek", nil); err == nil {
			t.Errorf("%s: it answered", mode)
		}
		e.sim.SetTap(nil)
		if n := len(e.sim.Versions(e.m.Key)); n != versions {
			t.Errorf("%s: %d versions, want %d", mode, n, versions)
		}
		cancel()
	}
}

func TestTokensOfClientCredentials(t *testing.T) {
	t.Parallel()
	e := newEstate(t, azuresim.Options{})
	opts := e.opts
	opts.PerCallPolicies = nil // the host guard is for services; this is the credential's own call
	for id, fine := range map[string]bool{e.m.Guard: true, "00000000-0000-4000-8000-000000000000": false} {
		cred, err := azidentity.NewClientSecretCredential("44444444-4444-4444-4444-444444444444", id, "a secret",
			&azidentity.ClientSecretCredentialOptions{ClientOptions: opts, DisableInstanceDiscovery: true})
		if err != nil {
			t.Fatal(err)
		}
		tok, err := cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
		if fine != (err == nil) || fine && tok.Token != e.m.Token {
			t.Errorf("%s: %v", id, err)
		}
	}
}

package app_test

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/findings"
	"cmkguard/internal/localhost"
)

// estate is a world with one cluster and the settings that lead there.
func estate(t *testing.T, change func(*azuresim.Sim, azuresim.Sample)) []string {
	t.Helper()
	sim := azuresim.New(azuresim.Options{Wall: time.Now}) // who waits for a service's rate waits for its clock
	m := sim.AddSample("v2", 100*24*time.Hour)
	change(sim, m)
	srv, err := sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	profile, err := srv.WriteProfile(dir, m.Token)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"CMKGUARD_CLOUD=" + profile, "CMKGUARD_SUBSCRIPTIONS=" + m.Subscription, "HOME=" + filepath.Join(dir, "home")}
}

func TestCheckFindsALostGrantAndSaysSoByItsExitCode(t *testing.T) {
	t.Parallel()
	env := estate(t, func(s *azuresim.Sim, m azuresim.Sample) { s.Unassign(m.Principal) })
	out, code := run(t, env, "check", "--depth", "signal")
	if code != 3 || !strings.Contains(out, "CMK-050") || !strings.Contains(out, "cache-a") || !strings.Contains(out, "1 clusters:") {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	if _, code = run(t, env, "check", "--depth", "signal", "--fail-on", "never"); code != 0 {
		t.Fatalf("--fail-on never: exit %d", code)
	}
}

func TestCheckUnknownIsNeverOK(t *testing.T) {
	t.Parallel()
	env := estate(t, func(s *azuresim.Sim, m azuresim.Sample) { s.Unassign(m.Guard) }) // our own reads are refused
	out, _ := run(t, env, "check", "--depth", "signal", "-o", "json")
	var r findings.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err, out)
	}
	for _, f := range r.Findings {
		if f.Check == "CMK-013" && f.Answer != "unknown" {
			t.Errorf("the key could not be read, and its expiry is %s: %s", f.Answer, f.Why)
		}
	}
	if r.Totals.Unknown == 0 {
		t.Error("nothing is unknown")
	}
}

func TestCheckOutputsAreWhatTheirReadersParse(t *testing.T) {
	t.Parallel()
	for format, parses := range map[string]func(string) error{
		"json":     func(s string) error { return json.Unmarshal([]byte(s), &findings.Report{}) },
		"sarif":    func(s string) error { return json.Unmarshal([]byte(s), &map[string]any{}) },
		"junit":    func(s string) error { return xml.Unmarshal([]byte(s), &struct{ XMLName xml.Name }{}) },
		"csv":      func(s string) error { _, err := csv.NewReader(strings.NewReader(s)).ReadAll(); return err },
		"markdown": func(string) error { return nil },
		"jsonl":    everyLine,
		"ocsf":     everyLine,
	} {
		env := estate(t, func(s *azuresim.Sim, m azuresim.Sample) { s.Unassign(m.Principal) }) // of its own: Resource Graph counts queries
		out, code := run(t, env, "check", "--depth", "sweep", "-o", format)
		if err := parses(out); err != nil || code != 3 || !strings.Contains(out, "CMK-050") {
			t.Errorf("%s: exit %d, %v:\n%.600s", format, code, err, out)
		}
	}
}

func everyLine(s string) error {
	for line := range strings.Lines(s) {
		if err := json.Unmarshal([]byte(line), &map[string]any{}); err != nil {
			return err
		}
	}
	return nil
}

func TestCheckSaysEverythingThatIsWrongWithItsFlags(t *testing.T) {
	t.Parallel()
	out, code := run(t, nil, "check", "--output", "xls", "--fail-on", "sometimes", "--depth", "deep", "not-an-id")
	for _, want := range []string{"--output", "--fail-on", "--depth", "not-an-id", "CMKGUARD_SUBSCRIPTIONS"} {
		if code != 2 || !strings.Contains(out, want) {
			t.Errorf("exit %d, want 2 and %s:\n%s", code, want, out)
		}
	}
	if out, code = run(t, nil, "check", "--explain", "cmk-031"); code != 0 || !strings.Contains(out, "CMK-031") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	if out, code = run(t, nil, "checks"); code != 0 || strings.Count(out, "\n") < 54 {
		t.Errorf("exit %d, %d lines", code, strings.Count(out, "\n"))
	}
}

// A run that goes on where another was cut off ends with the same file.
func TestCheckGoesOnIntoAFile(t *testing.T) {
	t.Parallel()
	env := estate(t, func(s *azuresim.Sim, m azuresim.Sample) {
		s.Unassign(m.Principal)
		for i := range 30 {
			id := azureid.MustResource(m.Scope + fmt.Sprintf("Microsoft.Cache/redisEnterprise/cache-b%02d", i))
			s.AddCluster(azuresim.Cluster{ID: id, Kind: "v2", SKU: "Balanced_B10", Location: "westeurope", Identities: []azureid.Resource{m.Identity},
				CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: m.Identity, KeyURL: m.Key.String()}})
		}
	})
	file := filepath.Join(t.TempDir(), "findings.jsonl")
	if out, code := run(t, env, "check", "-o", "jsonl", "--into", file); code != 3 {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := run(t, env, "check", "-o", "jsonl", "--into", file); code != 3 {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	again, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	times := regexp.MustCompile(`"at":"[^"]*"`)
	if diff := cmp.Diff(times.ReplaceAllString(string(whole), ""), times.ReplaceAllString(string(again), "")); diff != "" {
		t.Errorf("the whole run (-) and the one that went on (+):\n%.2000s", diff)
	}
	if out, code := run(t, env, "check", "--into", file); code != 2 || !strings.Contains(out, "--into") {
		t.Errorf("a table into a file to go on with: exit %d:\n%s", code, out)
	}
}

// With a state to look into, what the logs claim of each key's use is shown too;
// without a claim it is unknown, and never ok.
func TestCheckShowsTheUseThatLogsClaim(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	use := func() string {
		text, _ := run(t, env, "check", "-o", "jsonl", "--fail-on", "never")
		for line := range strings.Lines(text) {
			if strings.Contains(line, `"CMK-057"`) {
				return line
			}
		}
		return ""
	}
	if line := use(); !strings.Contains(line, `"answer":"unknown"`) {
		t.Fatalf("%q", line)
	}
	url, _, kill := serve(t, env)
	record := fmt.Sprintf(`{"records":[{"time":%q,"category":"AuditEvent","operationName":"KeyUnwrap","resultType":"Success","correlationId":"c1","resourceId":%q,`+
		`"identity":{"claim":{"oid":"22222222-2222-2222-2222-222222222201"}},"properties":{"id":%q,"httpStatusCode":200}}]}`,
		sim.Clock().Now().Format(time.RFC3339), strings.ToUpper("/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-a"), key.String())
	body, err := localhost.EventHubEnvelope(call("vaultlogs"), "logs", localhost.HubMessages{
		Hub: "insights-logs-auditevent", Partition: "0", Enqueued: time.Now(), Bodies: [][]byte{[]byte(record)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := localhost.Post(t.Context(), http.DefaultClient, url, "vaultlogs", "00000000-0000-4000-8000-000000000001", body); err != nil {
		t.Fatal(err)
	}
	kill()
	if line := use(); !strings.Contains(line, `"answer":"ok"`) || !strings.Contains(line, key.Version) {
		t.Fatalf("%q", line)
	}
}

package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/app"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
)

const payloadSub = "00000000-0000-0000-0000-000000000000"

// prod is the world that the captured payloads speak of: one cluster whose key is
// near its expiry, in a vault of another resource group.
func prod(t *testing.T) (sim *azuresim.Sim, key azureid.Key, env map[string]string, dir string) {
	t.Helper()
	sim = azuresim.New(azuresim.Options{NoGraphQuota: true}) // its clock stands still: a quota would never be given back
	const guardID, who = "99999999-9999-9999-9999-999999999999", "22222222-2222-2222-2222-222222222201"
	id := func(group, rest string) azureid.Resource {
		return azureid.MustResource("/subscriptions/" + payloadSub + "/resourceGroups/" + group + "/providers/" + rest)
	}
	v, i := id("rg-cmk", "Microsoft.KeyVault/vaults/kv-cmk-prod"), id("rg-redis", "Microsoft.ManagedIdentity/userAssignedIdentities/id-amr")
	sim.AddCaller(azuresim.Caller{Name: "guard", ObjectID: guardID, Token: "t", Reads: true, Writes: true, Repairs: true})
	sim.AddVault(azuresim.Vault{ID: v, Location: "westeurope", RBAC: true, SoftDelete: true, PurgeProtection: true})
	sim.Assign(v.String(), azuresim.RoleCryptoOfficer, guardID)
	sim.Assign(v.String(), azuresim.RoleCryptoServiceEncryptionUser, who)
	expires := sim.Clock().Now().Add(20 * 24 * time.Hour)
	key = sim.AddKey("kv-cmk-prod.vault.azure.net", "redis-cmk", azuresim.KeyOptions{Created: sim.Clock().Now().AddDate(-1, 0, 0), Expires: &expires})
	sim.AddIdentity(azuresim.Identity{ID: i, PrincipalID: who, ClientID: "33333333-3333-3333-3333-333333333301", Location: "westeurope"})
	sim.AddCluster(azuresim.Cluster{
		ID: id("rg-redis", "Microsoft.Cache/redisEnterprise/amr-prod"), Kind: "v2", SKU: "Balanced_B10", Location: "West Europe", Identities: []azureid.Resource{i},
		CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: i, KeyURL: key.String()},
	})
	srv, err := sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	dir = t.TempDir()
	profile, err := srv.WriteProfile(dir, "t")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nremedies: {rotate: auto, rewire: auto}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return sim, key, map[string]string{"CMKGUARD_CLOUD": profile, "CMKGUARD_SUBSCRIPTIONS": payloadSub, "CMKGUARD_REMEDIATOR_CLIENT_ID": "remediator", "CMKGUARD_POLICY": file}, dir
}

// inside runs the command line in this process.
func inside(env map[string]string, args ...string) (out string, code int) {
	var b bytes.Buffer
	code = app.Main(context.Background(), app.Process{Args: args, Env: func(n string) string { return env[n] }, Stdout: &b, Stderr: &b, Version: "test"})
	return b.String(), code
}

// untouched fails if the world was asked for anything but reads.
func untouched(t *testing.T, sim *azuresim.Sim) {
	t.Helper()
	calls := sim.Calls()
	if len(calls) == 0 {
		t.Error("nothing was read either")
	}
	for _, c := range calls {
		if c.Method != http.MethodGet && !strings.HasSuffix(c.Path, "/providers/Microsoft.ResourceGraph/resources") {
			t.Errorf("a replay called %s %s", c.Method, c.Path)
		}
	}
}

// exits are the exit codes of captured files, by the beginning of their names; the
// longest that fits counts. Bodies of ARM are what nobody delivers here: ignored
// where they have a type, unreadable where not.
var exits = map[string]int{
	"activitylog-": 0, "arn-": 0, "diag-": 0, "diag-keyvault-batch": 3, "eg-": 0, "eg-delivery-headers": 2, "eg-keyvault-Key": 3, "eg-keyvault-VaultAccessPolicyChanged": 3,
	"eg-resources-ResourceDeleteSuccess.roleAssignments": 3, "eg-resources-ResourceDeleteSuccess.userAssignedIdentities": 3,
	"eg-resources-ResourceWriteSuccess.redisEnterprise": 3, "eg-resources-ResourceWriteSuccess.vaults": 3,
	"httpTrigger.": 0, "timerTrigger": 3, "queueTrigger.": 2, "queueTrigger.binary.eg": 3, "queueTrigger.string.eg": 3,
	"own-": 3, "own-forged-host": 2, "own-managed-hsm": 0, "own-times": 2,
	"azure/cluster-get": 0, "azure/database": 0, "azure/de": 0, "azure/event": 0, "azure/role-assignment.json": 0, "azure/role-definition": 0, "azure/vault-get": 0, "azure/": 2,
	"azure/deleted-key": 2,
}

func exitOf(file string) int {
	name := strings.TrimPrefix(filepath.Base(file), "eventGridTrigger.")
	if strings.Contains(file, "/azure/") {
		name = "azure/" + name
	}
	best, code := "", -1
	for prefix, c := range exits {
		if strings.HasPrefix(name, prefix) && len(prefix) >= len(best) {
			best, code = prefix, c
		}
	}
	return code
}

// TestEveryCaptureIsReplayed: every captured, documented or made-up file, over the
// world that they speak of. Nothing is changed, stored, or said but on the terminal.
func TestEveryCaptureIsReplayed(t *testing.T) {
	t.Parallel()
	sim, _, env, dir := prod(t)
	files := beside(t, "*.json", "synthetic/*.json", "host/*.json", "azure/*.json")
	for _, f := range files {
		out, code := inside(env, "replay", f)
		if want := exitOf(f); code != want {
			t.Errorf("%s: exit %d, want %d:\n%s", f, code, want, out)
		}
		if code == 2 && !strings.Contains(out, "want ") && !strings.Contains(out, "must name") && !strings.Contains(out, "neither JSON nor base64") {
			t.Errorf("%s: nothing says what is wrong:\n%s", f, out)
		}
	}
	t.Logf("%d files", len(files))
	untouched(t, sim)
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 3 { // profile, its CA, the policy
		t.Errorf("something was stored: %v %v", left, err)
	}
}

// dump is every row, message and log of the embedded state.
func dump(t *testing.T, dir string) string {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "cmkguard.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return dumpOf(t, db, "state") + dumpOf(t, db, "queue") + dumpOf(t, db, "log")
}

func dumpOf(t *testing.T, db *sql.DB, table string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table+" ORDER BY 1, 2")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for rows.Next() {
		row := make([]any, len(columns))
		at := make([]any, len(columns))
		for i := range row {
			at[i] = &row[i]
		}
		if err := rows.Scan(at...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, table, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestAReplayOverAState: what was taken in before is told, and what would be new is
// said against it; the same file over the same state is the same text, whatever the
// minute; and the state stays as it is, to the row.
func TestAReplayOverAState(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := keyed(t)
	event := filepath.Join(dir, "e1.json")
	later := filepath.Join(dir, "e2.json")
	for file, id := range map[string]string{event: "e1", later: "e2"} {
		if err := os.WriteFile(file, sim.NearExpiry(key, id), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if text, code := run(t, env, "replay", event); code != 1 || !strings.Contains(text, "no such file") {
		t.Fatalf("exit %d: a state that is not there is a mistake, and none is made:\n%s", code, text)
	}
	url, out, kill := serve(t, env)
	raw, err := os.ReadFile(event)
	if err != nil {
		t.Fatal(err)
	}
	post(t, url, raw)
	eventually(t, out, "the incident", func() bool {
		return strings.Contains(out.String(), "CMK-013") && strings.Contains(out.String(), `"function":"work"`)
	})
	kill()
	state := strings.TrimPrefix(env[0], "CMKGUARD_STATE=file:")
	before := dump(t, state)
	text, code := run(t, env, "replay", event)
	if code != 0 || !strings.Contains(text, "taken in before (done)") || !strings.Contains(text, "nothing would be done, and nobody told") || !strings.Contains(text, "rotate (rotate~") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	sim.Clock().Advance(90 * time.Second)
	if again, _ := run(t, env, "replay", event); again != text {
		t.Errorf("the same file over the same state:\n%s\nis not\n%s", again, text)
	}
	asJSON, _ := run(t, env, "replay", event, "-o", "json")
	sim.Clock().Advance(90 * time.Second)
	if again, _ := run(t, env, "replay", event, "-o", "json"); again != asJSON || !json.Valid([]byte(asJSON)) {
		t.Errorf("as JSON:\n%s\nis not\n%s", again, asJSON)
	}
	if text, code = run(t, env, "replay", later); code != 0 || strings.Contains(text, "taken in before") {
		t.Errorf("exit %d: an open problem is told again:\n%s", code, text)
	}
	auto := filepath.Join(dir, "auto.yaml")
	if err := os.WriteFile(auto, []byte("version: 1\nremedies: {rotate: auto, rewire: auto}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, code = run(t, append([]string{"CMKGUARD_POLICY=" + auto}, env...), "replay", later); code != 3 || !strings.Contains(text, "WOULD BEGIN") {
		t.Errorf("exit %d: another policy would begin it:\n%s", code, text)
	}
	if after := dump(t, state); after != before {
		t.Errorf("the state changed:\n%s\nwas\n%s", after, before)
	}
	if sim.Count(http.MethodPost, "/rotate") != 0 {
		t.Error("it rotated")
	}
}

func TestAReplayReadsItsInput(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := prod(t)
	body := string(sim.NearExpiry(key, "e1"))
	write := func(text string) string {
		file := filepath.Join(dir, "x.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	want, code := inside(env, "replay", write(body))
	if code != 3 || !strings.Contains(want, "WOULD BEGIN") || !strings.Contains(want, "tells      MEDIUM, trigger: ") || !strings.Contains(want, "to console (") {
		t.Fatalf("exit %d:\n%s", code, want)
	}
	rest := func(s string) string { _, after, _ := strings.Cut(s, "\n"); return after }
	for name, text := range map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(body)), "an array": "[" + body + "]"} {
		if got, code := inside(env, "replay", write(text)); code != 3 || rest(got) != rest(want) {
			t.Errorf("%s: exit %d:\n%s", name, code, got)
		}
	}
	look := write(`{"schemaId":"azureMonitorCommonAlertSchema","data":{"essentials":{"alertRule":"r","monitorCondition":"Fired","alertTargetIDs":["/subscriptions/` + payloadSub + `/resourceGroups/rg-cmk/providers/Microsoft.KeyVault/vaults/kv-cmk-prod"]}}}`)
	if out, code := inside(env, "replay", look); code != 3 || !strings.Contains(out, "no function of ours takes it") || !strings.Contains(out, "amr-prod") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	const escaped = `{"id":"\u001b[2J","eventType":"Microsoft.KeyVault.KeyExpired"}`
	for name, c := range map[string]struct {
		body string
		args []string
		text string
	}{
		"no file":           {body, nil, "accepts 1 arg"},
		"not there":         {body, []string{"/nowhere.json"}, "/nowhere.json"},
		"broken":            {"{\n \"id\": 1,,\n}", []string{"x"}, "line 2, column 10: not JSON"},
		"other form":        {body, []string{"x", "-o", "yaml"}, "want table or json"},
		"an incomplete one": {escaped, []string{"x"}, "topic is missing"},
	} {
		file := write(c.body)
		args := append([]string{"replay"}, c.args...)
		if len(args) > 1 && args[1] == "x" {
			args[1] = file
		}
		if out, code := inside(env, args...); code != 2 || !strings.Contains(out, c.text) || strings.Contains(out, "\x1b") {
			t.Errorf("%s: exit %d, want 2 with %q:\n%q", name, code, c.text, out)
		}
	}
	// A repair that nobody has stored yet would get its id by the moment.
	sim.DeleteKey(key)
	file := write(body)
	text, code := inside(env, "replay", file)
	asJSON, _ := inside(env, "replay", file, "-o", "json")
	if code != 3 || !strings.Contains(text, "recover-key of ") || !strings.Contains(asJSON, `"remedy": "recover-key"`) {
		t.Errorf("exit %d:\n%s", code, text)
	}
	sim.Clock().Advance(90 * time.Second)
	if again, _ := inside(env, "replay", file); again != text {
		t.Errorf("the same state a minute later:\n%s\nis not\n%s", again, text)
	}
	if again, _ := inside(env, "replay", file, "-o", "json"); again != asJSON {
		t.Errorf("as JSON a minute later:\n%s\nis not\n%s", again, asJSON)
	}
	cmd := command(t, nil, "replay", "-")
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdin = strings.NewReader(body)
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 3 || string(out) != text {
		t.Errorf("from stdin: exit %d:\n%s", cmd.ProcessState.ExitCode(), out)
	}
}

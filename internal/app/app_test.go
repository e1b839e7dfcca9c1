package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"cmkguard/internal/app"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/localhost"
)

// TestMain lets the test binary be the program: a child with this variable set
// runs the real command line.
func TestMain(m *testing.M) {
	if os.Getenv("CMKGUARD_TEST_AS_PROGRAM") != "" {
		interrupts := make(chan os.Signal, 4)
		signal.Notify(interrupts, os.Interrupt)
		os.Exit(app.Main(context.Background(), app.Process{
			Args: os.Args[1:], Env: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr, Interrupts: interrupts, Version: "test",
		}))
	}
	os.Exit(m.Run())
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) { o.mu.Lock(); defer o.mu.Unlock(); return o.b.Write(p) }
func (o *output) String() string              { o.mu.Lock(); defer o.mu.Unlock(); return o.b.String() }

func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append([]string{"CMKGUARD_TEST_AS_PROGRAM=1", "PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// run runs the command line to its end.
func run(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	cmd := command(t, env, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// serve starts the handler and waits for its readiness.
func serve(t *testing.T, env []string) (url string, out *output, kill func()) {
	t.Helper()
	url, out, kill, _ = started(t, env)
	return url, out, kill
}

// started is serve with the process, for its signals.
func started(t *testing.T, env []string) (url string, out *output, kill func(), process *os.Process) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	out = &output{}
	cmd := command(t, append(env, "FUNCTIONS_CUSTOMHANDLER_PORT="+port))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	t.Cleanup(kill)
	url = "http://127.0.0.1:" + port
	eventually(t, out, "readiness", func() bool {
		resp, err := http.Get(url + "/")
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return true
	})
	return url, out, kill, cmd.Process
}

// eventually waits for another process; there is no clock of its to move.
func eventually(t *testing.T, out *output, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come to pass:\n%s", what, out)
		}
	}
}

const scope = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/"

// azure is a world with one key that is near its expiry.
func azure(t *testing.T) (sim *azuresim.Sim, key azureid.Key, env []string, dir string) {
	t.Helper()
	sim = azuresim.New(azuresim.Options{})
	sim.AddCaller(azuresim.Caller{Name: "us", ObjectID: "99999999-9999-9999-9999-999999999999", Token: "t", Reads: true, Writes: true})
	v := azureid.MustResource(scope + "Microsoft.KeyVault/vaults/kv-a")
	sim.AddVault(azuresim.Vault{ID: v, Location: "westeurope", RBAC: true, SoftDelete: true, PurgeProtection: true})
	sim.Assign(v.String(), azuresim.RoleCryptoOfficer, "99999999-9999-9999-9999-999999999999")
	exp := sim.Clock().Now().Add(24 * time.Hour)
	key = sim.AddKey("kv-a.vault.azure.net", "kek", azuresim.KeyOptions{Created: sim.Clock().Now().AddDate(-1, 0, 0), Expires: &exp})
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
	return sim, key, []string{
		"CMKGUARD_STATE=file:" + filepath.Join(dir, "state"), "CMKGUARD_CLOUD=" + profile,
		"CMKGUARD_SUBSCRIPTIONS=11111111-1111-1111-1111-111111111111", "CMKGUARD_REMEDIATOR_CLIENT_ID=88888888-8888-8888-8888-888888888888",
	}, dir
}

func post(t *testing.T, url string, event []byte) {
	t.Helper()
	body, err := localhost.EventGridEnvelope(localhost.Call{Function: "keyvaultevents", UtcNow: time.Now(), RandGuid: "00000000-0000-4000-8000-000000000000"}, "event", event)
	if err != nil {
		t.Fatal(err)
	}
	if err := localhost.Post(t.Context(), http.DefaultClient, url, "keyvaultevents", "00000000-0000-4000-8000-000000000001", body); err != nil {
		t.Fatal(err)
	}
}

func TestAWrongPolicyLeavesItObservingAndSayingSo(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := azure(t)
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nremedies:\n  rotate: always\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, out, _ := serve(t, append(env, "CMKGUARD_POLICY="+file))
	post(t, url, sim.NearExpiry(key, "e1"))
	eventually(t, out, "the alert", func() bool { return strings.Contains(out.String(), "observes only") })
	if !strings.Contains(out.String(), "policy.yaml:3") {
		t.Fatalf("the line is not named:\n%s", out)
	}
	eventually(t, out, "the event is worked on", func() bool { return sim.Count(http.MethodPost, "/resources") > 0 })
	for _, c := range sim.Calls() {
		if c.Method != http.MethodGet && !strings.HasSuffix(c.Path, "/resources") {
			t.Fatalf("it acted: %s %s", c.Method, c.Path)
		}
	}
}

func TestAuditVerifyNamesAChangedEntry(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := azure(t)
	url, out, kill := serve(t, env)
	post(t, url, sim.NearExpiry(key, "e1"))
	at, looks := 0, 0 // at: of the entry that is changed
	eventually(t, out, "the signal's entry, sealed", func() bool {
		if looks++; looks%20 == 0 { // where two folded at once, the next work or sweep does
			post(t, url, sim.NearExpiry(key, fmt.Sprint("e", looks)))
		}
		text, code := run(t, env, "audit", "export")
		before, _, found := strings.Cut(text, "key-near-expiry")
		at = strings.Count(before, "\n")
		return code == 0 && found
	})
	kill()
	db, err := sql.Open("sqlite", filepath.Join(dir, "state", "cmkguard.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE log SET data = CAST(replace(CAST(data AS TEXT), 'key-near-expiry', 'key-near-expirz') AS BLOB) WHERE log LIKE 'audit-%'`); err != nil {
		t.Fatal(err)
	}
	text, code := run(t, env, "audit", "verify")
	if code != 1 || !strings.Contains(text, fmt.Sprintf("PROBLEM entry %d:", at)) || !strings.Contains(text, "was changed") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
}

func TestWrongSettingsSayWhichAndHow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env  []string
		args []string
		code int
		text string
	}{
		"no state":        {nil, []string{"serve"}, 1, "CMKGUARD_STATE is not set: want file:DIR or azure"},
		"unknown state":   {[]string{"CMKGUARD_STATE=redis:x"}, []string{"serve"}, 1, "want file:DIR"},
		"no account":      {[]string{"CMKGUARD_STATE=azure"}, []string{"serve"}, 1, "set CMKGUARD_STORAGE__accountName"},
		"half a string":   {[]string{"CMKGUARD_STATE=azure", "CMKGUARD_STORAGE=AccountName=a;AccountKey=b"}, []string{"serve"}, 1, "BlobEndpoint"},
		"a key to Azure":  {[]string{"CMKGUARD_STATE=azure", "CMKGUARD_STORAGE=AccountName=a;AccountKey=Yg==;BlobEndpoint=https://a.blob.core.windows.net;QueueEndpoint=https://a.queue.core.windows.net;TableEndpoint=https://a.table.core.windows.net"}, []string{"serve"}, 1, "use an identity"},
		"a disk in Azure": {[]string{"CMKGUARD_STATE=file:x", "WEBSITE_INSTANCE_ID=1"}, []string{"serve"}, 1, "share no disk"},
		"unknown cloud":   {[]string{"CMKGUARD_STATE=file:" + t.TempDir(), "CMKGUARD_CLOUD=/nowhere.json"}, []string{"serve"}, 1, "CMKGUARD_CLOUD=/nowhere.json"},
		"unknown command": {nil, []string{"rotate-everything"}, 2, "unknown command"},
		"no such policy":  {nil, []string{"policy", "check", "/nowhere.yaml"}, 2, "/nowhere.yaml"},
		"no such state":   {nil, []string{"audit", "verify", "--state", "/nowhere"}, 1, "/nowhere"},
	} {
		text, code := run(t, c.env, c.args...)
		if code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s", name, code, c.code, c.text, text)
		}
	}
}

func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "p.yaml")
	for text, want := range map[string]int{"version: 1\nremedies: {rotate: auto}\n": 0, "version: 1\nremedies: {rotate: always}\nnonsense: 1\n": 1} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := run(t, nil, "policy", "check", file)
		if code != want || (want == 1 && (!strings.Contains(out, ":2") || !strings.Contains(out, ":3"))) {
			t.Errorf("exit %d, want %d, every line named:\n%s", code, want, out)
		}
	}
}

package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/store/filestore"
)

func proveChannels(t *testing.T, policyText string, env map[string]string, args ...string) (string, int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(policyText), 0o600); err != nil {
		t.Fatal(err)
	}
	env["CMKGUARD_POLICY"] = file
	var out bytes.Buffer
	code := Main(t.Context(), Process{
		Args: append([]string{"alert", "test"}, args...), Env: func(n string) string { return env[n] }, Stdout: &out, Stderr: &out, Version: "test",
	})
	return out.String(), code
}

// A test goes through the real clients, opens and ends what it opened, and says for
// each channel what became of it and where to look.
func TestAlertTest(t *testing.T) {
	t.Parallel()
	am := alerttest.Listen(t, alerttest.Alertmanager(""), alerttest.Right)
	jsm := alerttest.Listen(t, alerttest.JSM("right-key"), alerttest.Right)
	busy := alerttest.Listen(t, alerttest.Alertmanager(""), alerttest.BusyMute)
	text := fmt.Sprintf(`version: 1
channels:
  - {name: prom, kind: alertmanager, url: %q}
  - {name: jsm, kind: webhook, recipe: jsm, url: %q, secretRef: KEY}
  - {name: busy, kind: alertmanager, url: %q}
  - {name: gone, kind: alertmanager, url: "http://127.0.0.1:1"}
  - {name: unset, kind: slack, secretRef: NOTHING}
`, am.URL, jsm.URL, busy.URL)
	dir := t.TempDir()
	env := map[string]string{"KEY": "wrong-key", "CMKGUARD_STATE": "file:" + dir}
	out, code := proveChannels(t, text, env)
	for _, want := range []string{
		"prom (alertmanager): sent and resolved in ", "id test-",
		"jsm (webhook): FAILED in ", "auth: webhook.Send: the receiver answered 401 Unauthorized: Could not authenticate; look at the setting KEY",
		", rate: ", "the receiver throttles", "gone (alertmanager): FAILED in ", "network: ", "nothing answered",
		"unset (slack): FAILED, cannot be made: setting NOTHING (secretRef) is not set", "4 of 5 channels failed",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if code != 1 || strings.Contains(out, "wrong-key") {
		t.Errorf("exit %d\n%s", code, out)
	}
	calls := am.Calls()
	if len(calls) != 2 || !strings.Contains(string(calls[0].Body), "[TEST] INFO") || !strings.Contains(alerttest.SeenInAlertmanager(calls[1].Body), "RESOLVED") {
		t.Errorf("%d requests", len(calls))
	}
	if out, code := proveChannels(t, text, env, "--channel", "prom"); code != 0 || strings.Count(out, "\n") != 1 {
		t.Errorf("exit %d\n%s", code, out)
	}
	if out, code := proveChannels(t, text, env, "--channel", "fax"); code != 2 || !strings.Contains(out, "the policy has no such channel") {
		t.Errorf("exit %d\n%s", code, out)
	}
	recorded(t, dir)
}

// recorded fails unless the receipts wait to be sealed.
func recorded(t *testing.T, dir string) {
	t.Helper()
	st, err := filestore.Open(dir, at)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	rows, err := st.Backend().State.Scan(t.Context(), "self", "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, row := range rows {
		n += strings.Count(string(row.Value), "test of ")
	}
	if n != 6 {
		t.Errorf("%d receipts are recorded, want 6", n)
	}
}

package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/store"
	"cmkguard/internal/store/filestore"
)

// keep puts a row of poison into the state, as an older version left it.
func keep(t *testing.T, env []string, source string, body []byte) (id string) {
	t.Helper()
	st, err := filestore.Open(strings.TrimPrefix(env[0], "CMKGUARD_STATE=file:"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	sum := canonical.Hash(body)
	id = "poison~" + sum[:40]
	value, err := json.Marshal(map[string]any{
		"schema": 1, "source": source, "reason": "an older version could not read it", "received": "2026-10-01T00:00:00Z",
		"size": len(body), "sha256": sum, "cut": false, "body": body,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Backend().State.Apply(t.Context(), "poison", []store.Op{{Kind: store.Insert, Key: id, Value: value}}); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestPoisonAtTheCommandLine: beside the running process, what is kept is listed,
// shown, replayed and dropped.
func TestPoisonAtTheCommandLine(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	url, out, _ := serve(t, env)
	event := sim.NearExpiry(key, "e1")
	wellAnswered(t, url, "keyvaultevents", "junk", []byte("{\"Data\":{\"event\":\"\x1b[31mjunk\"}}"))
	id := keep(t, env, "keyvaultevents", event)
	text, code := run(t, env, "poison", "list")
	if code != 0 || strings.Count(text, "poison~") != 2 || !strings.Contains(text, "an older version could not read it") || !strings.Contains(text, "keyvaultevents") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	text, code = run(t, env, "poison", "list", "--output", "json")
	var listed []struct {
		ID, Source, Reason string
		Size               int
		Cut                bool
	}
	if err := json.Unmarshal([]byte(text), &listed); err != nil || code != 0 || len(listed) != 2 || listed[0].Size == 0 {
		t.Fatalf("exit %d, %v:\n%s", code, err, text)
	}
	junk := listed[0].ID
	if junk == id {
		junk = listed[1].ID
	}
	if text, code = run(t, env, "poison", "show", junk); code != 0 || strings.Contains(text, "\x1b") || !strings.Contains(text, `\u001b[31mjunk`) {
		t.Fatalf("exit %d, or a terminal is told what to do:\n%q", code, text)
	}
	if text, code = run(t, env, "poison", "show", id, "--raw"); code != 0 || text != string(event) {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	text, code = run(t, env, "poison", "replay", "--all")
	if code != 3 || !strings.Contains(text, id+"  taken in") || !strings.Contains(text, junk+"  stays: ") || !strings.Contains(text, "2 replayed, 1 stay") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	eventually(t, out, "the running process to work on it", func() bool { return strings.Contains(out.String(), "CMK-013") })
	if text, code = run(t, env, "poison", "drop", junk); code != 2 || !strings.Contains(text, "reason") {
		t.Fatalf("exit %d: dropped without a reason:\n%s", code, text)
	}
	if text, code = run(t, env, "poison", "drop", junk, "--reason", "ticket 7"); code != 0 {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	if text, code = run(t, env, "poison", "list"); code != 0 || !strings.Contains(text, "nothing is kept") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	eventually(t, out, "the record of both", func() bool {
		text, _ = run(t, env, "audit", "export")
		return regexp.MustCompile(`replayed by .* \(as that machine says\)`).MatchString(text) && strings.Contains(text, ": ticket 7")
	})
}

func TestPoisonSaysWhatIsWrongWithTheCommand(t *testing.T) {
	t.Parallel()
	_, _, env, dir := azure(t)
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  []string
		args []string
		code int
		text string
	}{
		"no id":           {env, []string{"replay"}, 2, "--all"},
		"both":            {env, []string{"replay", "x", "--all"}, 2, "--all"},
		"unknown":         {env, []string{"show", "poison~0"}, 1, "nothing is kept under poison~0"},
		"no id at all":    {env, []string{"show", "a b"}, 1, "cmkguard poison list"},
		"unknown form":    {env, []string{"list", "-o", "yaml"}, 2, "want table or json"},
		"no such state":   {[]string{"CMKGUARD_STATE=file:" + dir + "/typo"}, []string{"list"}, 1, "typo"},
		"no state at all": {nil, []string{"list"}, 2, "CMKGUARD_STATE is not set"},
	} {
		text, code := run(t, c.env, append([]string{"poison"}, c.args...)...)
		if code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s", name, code, c.code, c.text, text)
		}
	}
	if _, err := os.Stat(dir + "/typo"); err == nil {
		t.Error("a mistyped directory was made")
	}
}

// TestDeadLettersAtTheCommandLine: with embedded state a folder stands for Event
// Grid's container; the running process's sweep and a person both take from it.
func TestDeadLettersAtTheCommandLine(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := keyed(t)
	_, out, _ := serve(t, env)
	leave := func(name string, body []byte) {
		file := filepath.Join(dir, "state", "deadletter", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	event := sim.NearExpiry(key, "e1")
	leave("CMKGUARD/2026/11/1/9/1.json", []byte(strings.Replace(string(event), "{", `{"deadLetterReason":"TimeToLiveExceeded","deliveryAttempts":9,"lastDeliveryOutcome":"Unauthorized\u001b[2J",`, 1)))
	leave("CMKGUARD/2026/11/1/9/2.json", []byte("junk"))
	const one, two = "CMKGUARD/2026/11/1/9/1.json", "CMKGUARD/2026/11/1/9/2.json"
	text, code := run(t, env, "deadletter", "show", one)
	if code == 0 && (strings.Contains(text, "\x1b") || !strings.Contains(text, "TimeToLiveExceeded after 9 attempts, last answer Unauthorized")) {
		t.Fatalf("exit %d:\n%q", code, text)
	}
	if text, code = run(t, env, "deadletter", "replay", "--all"); code != 3 || !strings.Contains(text, two+"  stays: ") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	eventually(t, out, "the running process to work on it", func() bool { return strings.Contains(out.String(), "CMK-013") })
	if text, code = run(t, env, "deadletter", "list", "-o", "json"); code != 0 || strings.Contains(text, one) || !strings.Contains(text, `"name": "`+two+`"`) {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	if text, code = run(t, env, "deadletter", "show", two, "--raw"); code != 0 || text != "junk" {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		text string
	}{
		"no such letter": {[]string{"show", "../cmkguard.db"}, 1, "there is no dead letter"},
		"no reason":      {[]string{"drop", two}, 2, "reason"},
		"no name":        {[]string{"replay"}, 2, "--all"},
	} {
		if text, code := run(t, env, append([]string{"deadletter"}, c.args...)...); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s", name, code, c.code, c.text, text)
		}
	}
	if text, code = run(t, env, "deadletter", "drop", two, "--reason", "ticket 7"); code != 0 {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	if text, code = run(t, env, "deadletter", "list"); code != 0 || !strings.Contains(text, "no dead letters") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
}

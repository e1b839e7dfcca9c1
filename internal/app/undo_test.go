package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/localhost"
)

// TestAnUndoIsAskedByOneAndReleasedByAnother goes through the program: a rotation is
// carried out, its undo is shown, asked for at the command line, released over the
// function, and the cluster is back.
func TestAnUndoIsAskedByOneAndReleasedByAnother(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := keyed(t)
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nremedies: {rotate: auto, rewire: auto, undo: approve}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env, "CMKGUARD_POLICY="+file, "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers)
	base, out, _ := serve(t, env)
	post(t, base, sim.NearExpiry(key, "e1"))
	told := func(what, pattern string) (found string) {
		t.Helper()
		eventually(t, out, what, func() bool {
			sim.Clock().Advance(5 * time.Second)
			m := regexp.MustCompile(pattern).FindStringSubmatch(out.String())
			if m != nil {
				found = m[len(m)-1]
			}
			return m != nil
		})
		return found
	}
	told("the end of the rotation", "Done: rotate")
	id := told("its plan", `plan (rotate~[0-9a-f]+)`)
	text, code := run(t, env, "undo", id)
	if code != 0 || !strings.Contains(text, "not undone: step 1, rotate-key of kv-a.vault.azure.net/kek: IRREVERSIBLE") || !strings.Contains(text, "to "+key.Version) {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	if text, code = run(t, env, "undo", "rotate~0"); code != 1 || !strings.Contains(text, "no plan") {
		t.Errorf("exit %d:\n%s", code, text)
	}
	if text, code = run(t, env, "undo", id, "--reason", "the app fails"); code != 1 {
		t.Errorf("asked by nobody: exit %d:\n%s", code, text)
	}
	first := append([]string{"CMKGUARD_APPROVER_TOKEN=" + sim.SignIn(object("1"), approvers, nil)}, env...)
	if text, code = run(t, first, "undo", id, "--reason", "the app fails"); code != 0 || !strings.Contains(text, "cmkguard approve undo~") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	undo := told("that it was asked for", `cmkguard approve (undo~[0-9a-f]+)`)
	patches := sim.Count(http.MethodPatch, "/cache-a")
	bearer := localhost.Pair{Name: "Authorization", Value: "Bearer " + sim.SignIn(object("2"), approvers, nil)}
	if got := ask(t, base, "POST", undo, `{"decision":"undo","reason":"never begun"}`, bearer); got.Status != "404" {
		t.Errorf("the undo of an undo that waits: %+v", got)
	}
	if got := ask(t, base, "POST", id, `{"decision":"undo","reason":"I see it too"}`, bearer); got.Status != "200" || !strings.Contains(got.Body, undo) {
		t.Fatalf("%+v", got)
	}
	told("the end of the undo", "Done: undo")
	if n := sim.Count(http.MethodPatch, "/cache-a"); n != patches+1 {
		t.Errorf("%d PATCHes", n-patches)
	}
}

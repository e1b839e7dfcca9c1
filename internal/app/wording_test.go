package app_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cmkguard/internal/alert/templates"
	"cmkguard/internal/app"
	"cmkguard/internal/policy"
)

// What the policy lets somebody name is what can be made.
func TestEveryTemplatePartCanBeMade(t *testing.T) {
	t.Parallel()
	have := map[string][]string{}
	for _, p := range templates.Parts() {
		have[p.Kind] = append(have[p.Kind], p.Name)
	}
	if !maps.EqualFunc(have, policy.TemplateParts(), slices.Equal) {
		t.Errorf("policy: %v, templates: %v", policy.TemplateParts(), have)
	}
}

// inProcess runs the command line in the test's own process, where nothing is served.
func inProcess(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	code := app.Main(t.Context(), app.Process{Args: args, Env: func(string) string { return "" }, Stdout: &out, Stderr: &out, Version: "test"})
	return out.String(), code
}

const templated = `version: 1
templates:
  slack:
    title: "OPS {{.Title}}"
    text: |
      *{{.What}}*
      {{range .Commands}}` + "`{{.Line}}`" + `
      {{end}}
  teams: {title: "OPS {{.Title}}", text: "now: {{.What}}"}
  email: {subject: "OPS {{.Title}}", text: "now: {{.What}}", html: "<p>now: {{.What}}</p>"}
  pagerduty: {summary: "OPS {{.Title}}"}
  alertmanager: {summary: "OPS {{.Title}}", description: "now: {{.What}}"}
  console: {text: "OPS {{.Title}}"}
`

// A template of the policy is in what each kind sends, and an exercise shows all the
// same.
func TestTemplatesAreUsed(t *testing.T) {
	t.Parallel()
	file := write(t, "policy.yaml", templated)
	for kind := range policy.TemplateParts() {
		out, code := inProcess(t, "alert", "render", "--policy", file, "--channel", kind, "--example", "drill")
		if code != 0 || !strings.Contains(out, "OPS Key deleted") || kind != "console" && !strings.Contains(out, "[DRILL] OPS") {
			t.Errorf("%s: exit %d\n%s", kind, code, out)
		}
		if len(policy.TemplateParts()[kind]) > 1 && kind != "slack" && !strings.Contains(out, "now: the key") {
			t.Errorf("%s: the second part is not there\n%s", kind, out)
		}
	}
}

// What is wrong with a template is named by the line of the file, and the policy is not
// in force.
func TestTemplatesAreLintedByLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"version: 1\ntemplates:\n  slack:\n    text: |\n      fine\n      {{.Titel}}\n":                     "policy.yaml:6: templates.slack.text: fails for the example key-deleted: at <.Titel>",
		"version: 1\ntemplates:\n  slack: {title: \"{{if}}\"}\n":                                            "policy.yaml:3: templates.slack.title: missing value for if",
		"version: 1\ntemplates:\n  email:\n    html: |\n      <p>\n      {{range 9}}x{{end}}\n      </p>\n": "policy.yaml:6: templates.email.html: has a range over what is no field",
		"version: 1\ntemplates:\n  slack: {body: x}\n":                                                      "policy.yaml:3: templates.slack.body: is no part of slack: want one of title, text",
		"version: 1\ntemplates:\n  webhook: {body: x}\n":                                                    "policy.yaml:3: templates.webhook: is no kind of channel with templates",
		"version: 1\ntemplates:\n  slack: {title: \"\"}\n":                                                  "policy.yaml:3: templates.slack.title: is empty",
		"version: 1\ntemplates:\n  slack: {title: \"{{index .Commands 0}}\"}\n":                             "fails for the example",
	} {
		out, code := inProcess(t, "policy", "check", write(t, "policy.yaml", text))
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("exit %d: %s\nwant %s", code, out, want)
		}
	}
}

// Every kind shows every example without a secret, as its payload and as text.
func TestAlertRender(t *testing.T) {
	t.Parallel()
	list, code := inProcess(t, "alert", "render", "--example", "list")
	if code != 0 || len(strings.Split(strings.TrimSpace(list), "\n")) < 25 || !strings.Contains(list, "key-deleted            a key in use is deleted") {
		t.Fatalf("exit %d\n%s", code, list)
	}
	for _, kind := range append(policy.Kinds(), policy.Recipes()...) {
		out, code := inProcess(t, "alert", "render", "--channel", kind, "--example", "key-deleted")
		if code != 0 || !strings.Contains(out, "Key deleted: kv-shop/redis-kek") {
			t.Errorf("%s: exit %d\n%s", kind, code, out)
		}
		if kind != "email" && kind != "console" && !json.Valid([]byte(out)) {
			t.Errorf("%s: no JSON", kind)
		}
		text, code := inProcess(t, "alert", "render", "--channel", kind, "--example", "key-deleted", "--text")
		if code != 0 || !strings.HasPrefix(text, "CRITICAL Key deleted: kv-shop/redis-kek (CMK-010)\n  what: ") {
			t.Errorf("%s --text: exit %d\n%s", kind, code, text)
		}
	}
	for want, args := range map[string][]string{
		"is neither a channel of the policy nor a kind nor a recipe": {"--channel", "fax"},
		"--example list names them":                                  {"--channel", "slack", "--example", "fax"},
	} {
		if out, code := inProcess(t, append([]string{"alert", "render"}, args...)...); code != 2 || !strings.Contains(out, want) {
			t.Errorf("%v: exit %d\n%s", args, code, out)
		}
	}
}

// The page names every field and function that a template has.
func TestTheTemplatesPageIsWhole(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts-channels.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(raw), "## Templates")
	view := reflect.TypeFor[templates.View]()
	for i := range view.NumField() {
		if !strings.Contains(page, "`."+view.Field(i).Name+"`") {
			t.Errorf("the field .%s is not on the page", view.Field(i).Name)
		}
	}
	for _, p := range templates.Parts() {
		if !regexp.MustCompile("(?m)^\\| `" + p.Kind + "` \\|.*`" + p.Name + "`").MatchString(page) {
			t.Errorf("the part %s.%s is not on the page", p.Kind, p.Name)
		}
	}
	for _, f := range templates.Functions() {
		if !strings.Contains(page, "`"+f) {
			t.Errorf("the function %s is not on the page", f)
		}
	}
}

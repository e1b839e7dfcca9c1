package templates_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/alert/templates"
)

func part(t testing.TB, kind, name string) templates.Part {
	t.Helper()
	p, ok := templates.Find(kind, name)
	if !ok {
		t.Fatalf("no part %s.%s", kind, name)
	}
	return p
}

func render(t *testing.T, p templates.Part, source string, a alert.Alert) (string, error) {
	t.Helper()
	x, err := templates.Parse(p, source)
	if err != nil {
		return "", err
	}
	return x.Render(a, a.At)
}

func deleted(t *testing.T) alert.Alert {
	t.Helper()
	e, ok := examples.Find("key-deleted", examples.At())
	if !ok {
		t.Fatal("no example")
	}
	return e.Alert
}

// What an author forgets to escape is escaped where it comes out, after every
// function, in the markup of its place.
func TestEveryOutputIsEscaped(t *testing.T) {
	t.Parallel()
	a := deleted(t)
	a.Title, a.What = `<!channel> *x* "q" [a](b)`, "<b>"
	for _, c := range []struct {
		p            templates.Part
		source, want string
	}{
		{part(t, "slack", "text"), `*{{.Title}}* {{with .What}}{{.}}{{end}}`, `*&lt;!channel&gt; *x* "q" [a](b)* &lt;b&gt;`},
		{part(t, "slack", "text"), `{{$x := .Title}}{{$x | upper | cut 12}}`, `&lt;!CHANNEL...`},
		{part(t, "teams", "text"), `{{.Title}}`, `&lt;!channel> \*x\* "q" \[a\]\(b\)`},
		{part(t, "email", "html"), `<p title="{{.Title}}">{{.What}}</p>`, `<p title="&lt;!channel&gt; *x* &#34;q&#34; [a](b)">&lt;b&gt;</p>`},
		{part(t, "email", "text"), `{{.Title}}`, `<!channel> *x* "q" [a](b)`},
		{templates.Body(), `{"t": "{{.Title}}", "c": {{json .Commands}}, "n": {{json .What}}}`, ``},
		{templates.Path(), `/v2/alerts/{{.Key}}/close`, `/v2/alerts/cmkguard%2FCMK-010%2F`},
	} {
		got, err := render(t, c.p, c.source, a)
		if err != nil || c.want != "" && !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.source, err, got, c.want)
		}
	}
}

// What could run for ever, read, or fill memory is refused when it is read, by its
// line.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	linter := templates.NewLinter()
	for source, want := range map[string]string{
		"\n{{.Titel}}":                             "line 2: fails for the example key-deleted: at <.Titel>: can't evaluate field Titel",
		"a\nb\n{{if}}":                             "line 3: missing value for if",
		"{{range 1000000000}}x{{end}}":             "line 1: has a range over what is no field",
		"{{$n := 1000000000}}{{range $n}}x{{end}}": "has a range over what is no field",
		"{{range len .Done}}x{{end}}":              "has a range over what is no field",
		"{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}":                  "defines another template",
		"{{range .Clusters}}{{range .Tags}}{{range $.Done}}{{.}}{{end}}{{end}}{{end}}": "has a range in a range in a range",
		"{{printf \"%1000000d\" 1}}":                                                   "printf takes no width",
		"{{printf \"%*d\" 1000000 1}}":                                                 "printf takes no width",
		"{{call .Title}}":                                                              "call",
		"{{env \"PATH\"}}":                                                             "line 1: function \"env\" not defined",
		"{{.At.Year}}":                                                                 "can't evaluate field Year",
		"{{index .Commands 0}}":                                                        "fails for the example",
		"":                                                                             "makes an empty text",
		"{{if false}}x{{end}}":                                                         "makes an empty text",
		"{{range .Done}}{{range $.Fields}}{{range $.Done}}{{end}}{{end}}{{end}}":                                      "has a range in a range in a range",
		"{{$x := \"xxxxxxxxxxxxxxxx\"}}{{range .Done}}{{range $.Fields}}{{$x = print $x $x}}{{end}}{{end}}{{.Title}}": "a text of more than",
		"{{range .Fields}}{{range $.Fields}}{{$.Text}}{{end}}{{end}}":                                                 "makes more than the 65536 bytes",
	} {
		p := linter.Lint(part(t, "slack", "text"), source, nil, nil)
		if p == nil || !strings.Contains(p.Error(), want) {
			t.Errorf("%q: %v, want %s", source, p, want)
		}
	}
	if p := linter.Lint(templates.Body(), `{"t": {{.Title}}}`, nil, nil); p == nil || !strings.Contains(p.Error(), "makes no JSON") {
		t.Errorf("%v", p)
	}
	if p := linter.Lint(part(t, "email", "html"), "<p>\n<a href='{{.Runbook}}>x</p>", nil, nil); p == nil {
		t.Error("HTML that ends inside an attribute was taken")
	}
}

// An exercise looks like one, whatever the template forgot.
func TestBannersCannotBeForgotten(t *testing.T) {
	t.Parallel()
	a := deleted(t)
	a.Drill, a.Test = true, true
	for _, p := range templates.Parts() {
		if p.Name != "title" && p.Name != "subject" && p.Name != "summary" {
			continue
		}
		if got, err := render(t, p, "{{.Title}}\n", a); err != nil || !strings.HasPrefix(got, "[TEST] [DRILL] Key deleted") {
			t.Errorf("%s: %q %v", p.Kind, got, err)
		}
		if got, err := render(t, p, "{{.Head}}", a); err != nil || strings.Count(got, "DRILL") != 1 {
			t.Errorf("%s: %q %v", p.Kind, got, err)
		}
	}
}

// A template that fails for an alert like none of the examples costs its text, never
// the alert.
func TestAFailureIsSaidAndNotSilence(t *testing.T) {
	t.Parallel()
	good, err := templates.Parse(part(t, "slack", "title"), "T {{.Title}}")
	if err != nil {
		t.Fatal(err)
	}
	bad, err := templates.Parse(part(t, "slack", "text"), `{{index .Done 7}}`)
	if err != nil {
		t.Fatal(err)
	}
	parts, a := templates.Set{"title": good, "text": bad}.Render(deleted(t), examples.At())
	if parts["title"] != "T Key deleted: kv-shop/redis-kek (CMK-010)" || len(parts) != 1 {
		t.Errorf("%v", parts)
	}
	if len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "the policy's template slack.text failed, so this is the built-in text: line 1: ") {
		t.Errorf("%v", a.Notes)
	}
	if parts, a := templates.Set(nil).Render(deleted(t), examples.At()); len(parts) != 0 || a.Notes != nil {
		t.Errorf("%v %v", parts, a.Notes)
	}
}

// Whatever somebody writes into a policy, reading and trying it ends soon and does
// not panic, and what was taken can be rendered for every alert or fails with words.
func TestAnyTextIsReadInBoundedTime(t *testing.T) {
	t.Parallel()
	pieces := []string{
		"{{", "}}", "{{range .Done}}", "{{range .Fields}}", "{{range $.Clusters}}", "{{end}}", "{{else}}", "{{if .Open}}", "{{with .What}}", "{{.}}", "{{.Title}}",
		"{{$x := .Text}}", "{{$x = print $x $x}}", "{{$x}}", "{{break}}", "{{json .}}", "{{cut 3 .Title}}", "{{join \",\" .Done}}", "{{replace \"a\" $x $x}}", "text", "\n", "{{/* c */}}",
		"{{slice .Text 0 99}}", "{{index .Done 0}}", "{{html .Title}}", "{{js .Title}}", "{{len .Done}}", "{{eq .Title .What}}", "{{severity \"1\" \"2\" \"3\" \"4\" \"5\" .Severity}}",
	}
	huge := examples.Huge(examples.At())
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		var source strings.Builder
		for range 1 + random.IntN(14) {
			source.WriteString(pieces[random.IntN(len(pieces))])
		}
		began := time.Now()
		for _, p := range []templates.Part{part(t, "slack", "text"), part(t, "email", "html"), templates.Body()} {
			if x, err := templates.Parse(p, source.String()); err == nil {
				_, _ = x.Render(huge, examples.At())
			}
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Fatalf("%s took %s", source.String(), d)
		}
	}
}

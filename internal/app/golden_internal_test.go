package app

import (
	"bytes"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/policy"
)

var update = flag.Bool("update", false, "write the golden files")

// Every kind of message on every channel, as it is sent: a change of words or of a
// payload is seen here, file by file.
func TestGoldenMessages(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, channel := range append(policy.Kinds(), policy.Recipes()...) {
		r, err := renderer(Process{Env: func(string) string { return "" }}, channel, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range examples.All(examples.At()) {
			got, err := r.Render(e.Alert)
			if err != nil {
				t.Errorf("%s, %s: %v", channel, e.Name, err)
				continue
			}
			for ext, text := range files(t, got) {
				path := filepath.Join("testdata", "golden", channel, e.Name+ext)
				want[path] = true
				golden(t, path, text)
			}
		}
	}
	err := filepath.WalkDir(filepath.Join("testdata", "golden"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !want[path] {
			t.Errorf("%s is of no message any more", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// files are the parts of a message that are kept, by extension.
func files(t *testing.T, r alert.Rendered) map[string][]byte {
	t.Helper()
	switch {
	case r.Media == "message/rfc822":
		text, html := mailParts(t, r.Body)
		return map[string][]byte{".eml": r.Body, ".txt": text, ".html": html}
	case strings.Contains(r.Media, "json"):
		return map[string][]byte{".json": append(pretty(r), '\n')}
	}
	return map[string][]byte{".txt": r.Body}
}

func mailParts(t *testing.T, raw []byte) (text, html []byte) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			return text, html
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			html = body
		} else {
			text = body
		}
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v (go test ./internal/app -run Golden -update writes it)", err)
		return
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test ./internal/app -run Golden -update writes it):\n%s", path, diff)
	}
}

// Every channel shows every page of an alert, and as a link: nothing in a message acts.
func TestEveryChannelShowsThePagesAndNoneActs(t *testing.T) {
	t.Parallel()
	e, _ := examples.Find("key-deleted", examples.At())
	if len(e.Alert.Links) != 3 {
		t.Fatalf("%v", e.Alert.Links)
	}
	for _, channel := range append(policy.Kinds(), "servicenow", "jira", "jsm") {
		r, err := renderer(Process{Env: func(string) string { return "" }}, channel, "")
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Render(e.Alert)
		if err != nil {
			t.Fatal(err)
		}
		for ext, text := range files(t, got) {
			if ext == ".eml" { // its parts are beside it
				continue
			}
			for _, l := range e.Alert.Links {
				if !strings.Contains(string(text), l.URL) {
					t.Errorf("%s%s does not show %s", channel, ext, l.Label)
				}
			}
			for _, acts := range []string{"Action.Submit", "Action.Execute", "Action.Http", "HttpPOST", `"value": "approve`, "<form", "<input", "<script"} {
				if strings.Contains(string(text), acts) {
					t.Errorf("%s%s has a %s", channel, ext, acts)
				}
			}
		}
	}
}

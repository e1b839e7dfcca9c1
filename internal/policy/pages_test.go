package policy_test

import (
	"strings"
	"testing"

	"cmkguard/internal/policy"
)

func TestRunbooks(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://wiki.example.com/cmk#":            "",
		"http://127.0.0.1:8080/cmk":                "",
		"http://wiki.example.com/cmk":              "is no https URL of a page",
		"wiki":                                     "is no https URL of a page",
		"https://u:hunter2@wiki.example.com/":      "holds a secret",
		"https://wiki.example.com/?token=hunter2&": "holds a secret",
	} {
		p, err := policy.Parse("p.yaml", []byte("version: 1\nrunbooks: \""+url+"\"\n"), nil)
		switch {
		case want == "" && (err != nil || p.Runbooks != url):
			t.Errorf("%s: %v", url, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), "p.yaml:2: runbooks: "+want) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: %v", url, err)
		}
	}
}

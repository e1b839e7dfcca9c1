package graph_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cmkguard/internal/azure/graph"
)

// Every query that the package sends is in the list that the language check reads.
func TestQueriesAreAllListed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	starts, n := regexp.MustCompile("`(resources|authorizationresources|policyresources) \\|"), 0
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n += len(starts.FindAll(raw, -1))
	}
	if got := len(graph.Queries()); got != n || n == 0 {
		t.Errorf("%d queries in the sources, %d in Queries", n, got)
	}
	for _, q := range graph.Queries() {
		if strings.Contains(q.Text, "`") || !strings.Contains(q.Text, "order by id asc") {
			t.Errorf("%s: pages need an order: %s", q.Name, q.Text)
		}
	}
}

package event

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmkguard/internal/azureid"
)

// payloads returns the files of the shared samples that match, or skips.
func payloads(t *testing.T, patterns ...string) []string {
	t.Helper()
	root := filepath.Join("..", "..", "..", "shared", "payloads")
	if _, err := os.Stat(root); err != nil {
		t.Skip("the shared samples are not beside this tree")
	}
	var files []string
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(root, p))
		if err != nil || len(found) == 0 {
			t.Fatalf("no sample matches %s (%v)", p, err)
		}
		files = append(files, found...)
	}
	return files
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkSample holds a sample to what its file name says that it is.
func checkSample(t *testing.T, file string, raw []byte) {
	t.Helper()
	p, err := ParseKeyVault(raw, azureid.Public())
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	isOurs := strings.Contains(file, "keyvault-Key") || strings.Contains(file, "keyvault-VaultAccess")
	switch {
	case len(p.Rejected) != 0:
		t.Errorf("%s: rejected: %q", file, p.Rejected[0].Problems)
	case isOurs && len(p.Signals) != 1:
		t.Errorf("%s: want a signal, got %+v", file, p)
	case !isOurs && len(p.Ignored) != 1:
		t.Errorf("%s: want it ignored, got %+v", file, p)
	}
}

func TestSamplesFromAzure(t *testing.T) {
	for _, file := range payloads(t, "eg-keyvault-*.json", "synthetic/eg-*.json", "eg-resources-*.json", "eg-eventgrid-*.json") {
		checkSample(t, filepath.Base(file), read(t, file))
	}
}

func TestSamplesThroughTheFunctionsHost(t *testing.T) {
	for _, file := range payloads(t, "host/eventGridTrigger.*.json", "host/queueTrigger.string.eg-*.json") {
		var body struct{ Data map[string]json.RawMessage }
		if err := json.Unmarshal(read(t, file), &body); err != nil {
			t.Fatal(err)
		}
		for _, raw := range body.Data {
			checkSample(t, filepath.Base(file), raw)
		}
	}
}

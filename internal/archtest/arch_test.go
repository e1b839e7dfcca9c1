// Package archtest holds the import graph as a table and fails on any edge that
// is not in it. It parses the files itself: the result of a subprocess such as
// go list would be taken from the test cache after the code changed.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// edges: which packages of this module a package may import, tests left out. A
// package that is not here may import none; "*" is the composition root.
var edges = map[string]string{
	"":                                      "internal/app",
	"handlers/keyvaultevents":               "internal/funchost",
	"handlers/approvals":                    "internal/approval internal/fault internal/funchost internal/guard internal/incident",
	"handlers/eventqueue":                   "internal/funchost",
	"handlers/resourceevents":               "internal/funchost",
	"handlers/vaultlogs":                    "internal/funchost internal/guard",
	"handlers/sweep":                        "internal/funchost",
	"handlers/work":                         "internal/funchost",
	"internal/app":                          "*",
	"internal/demo":                         "*",
	"internal/e2e":                          "*",
	"internal/hostproc":                     "handlers/keyvaultevents internal/localhost",
	"internal/approval":                     "internal/canonical internal/fault",
	"internal/approval/entra":               "internal/approval internal/fault",
	"internal/archtest":                     "",
	"internal/alert":                        "internal/canonical internal/fault internal/journal internal/risk internal/store",
	"internal/alert/alertmanager":           "internal/alert internal/alert/post internal/alert/templates internal/fault internal/store",
	"internal/alert/email":                  "internal/alert internal/alert/templates internal/fault internal/risk",
	"internal/alert/alerttest":              "internal/alert internal/alert/examples internal/fault internal/risk",
	"internal/alert/console":                "internal/alert internal/alert/templates internal/fault internal/risk",
	"internal/alert/examples":               "internal/alert internal/risk",
	"internal/alert/eventgrid":              "internal/alert internal/canonical internal/fault",
	"internal/alert/markup":                 "",
	"internal/alert/templates":              "internal/alert internal/alert/examples internal/alert/markup",
	"internal/alert/pagerduty":              "internal/alert internal/alert/post internal/alert/templates internal/fault internal/risk",
	"internal/alert/post":                   "internal/fault",
	"internal/alert/preview":                "internal/fault",
	"internal/alert/hold":                   "internal/alert internal/alert/route internal/canonical internal/event internal/fault internal/incident internal/policy internal/risk internal/store",
	"internal/alert/route":                  "internal/alert internal/policy internal/risk",
	"internal/alert/slack":                  "internal/alert internal/alert/markup internal/alert/post internal/alert/templates internal/fault internal/risk",
	"internal/alert/teams":                  "internal/alert internal/alert/markup internal/alert/post internal/alert/templates internal/fault internal/risk",
	"internal/alert/webhook":                "internal/alert internal/alert/post internal/alert/templates internal/canonical internal/fault internal/risk",
	"internal/azure/access":                 "internal/azure/azfault internal/azure/cloud internal/azureid internal/fault internal/wiring",
	"internal/azure/azfault":                "internal/fault",
	"internal/azure/cloud":                  "internal/azureid internal/fault internal/limit",
	"internal/azure/cluster":                "internal/azure/azfault internal/azure/cloud internal/azureid internal/fault internal/wiring",
	"internal/azure/ears":                   "internal/azure/azfault internal/azure/cloud internal/azureid internal/fault internal/wiring",
	"internal/azure/graph":                  "internal/azure/azfault internal/azure/cloud internal/azureid internal/fault internal/wiring",
	"internal/azure/grid":                   "internal/azure/azfault internal/azure/cloud internal/azureid internal/fault",
	"internal/azure/own":                    "internal/azure/access internal/azure/cloud internal/azure/graph internal/fault internal/wiring",
	"internal/azure/posture":                "internal/azure/azfault internal/azure/cloud internal/azureid internal/fault internal/wiring",
	"internal/azure/survey":                 "internal/azure/access internal/azure/cloud internal/azure/cluster internal/azure/graph internal/azure/posture internal/azure/vault internal/azureid internal/fault internal/wiring",
	"internal/azure/azuretest":              "internal/azure/cloud internal/azureid internal/azuresim internal/fault internal/wiring",
	"internal/azure/vault":                  "internal/azure/azfault internal/azure/cloud internal/azureid internal/fault internal/wiring",
	"internal/azureid":                      "internal/fault",
	"internal/azuresim":                     "internal/azureid internal/fault",
	"internal/canonical":                    "",
	"internal/capture":                      "internal/azureid internal/event internal/fault internal/funchost",
	"internal/drill":                        "internal/wiring",
	"internal/event":                        "internal/azureid internal/canonical internal/fault",
	"internal/fault":                        "",
	"internal/findings":                     "internal/azureid internal/canonical internal/fault internal/risk",
	"internal/funchost":                     "internal/fault",
	"internal/guard":                        "internal/alert internal/alert/hold internal/alert/route internal/approval internal/azureid internal/canonical internal/drill internal/event internal/fault internal/incident internal/journal internal/loss internal/plan internal/policy internal/redact internal/remedy internal/remedy/rewire internal/remedy/rotate internal/risk internal/self internal/store internal/store/overlay internal/wiring",
	"internal/incident":                     "internal/event internal/risk internal/store",
	"internal/journal":                      "internal/canonical internal/fault internal/store",
	"internal/limit":                        "internal/canonical internal/fault internal/store",
	"internal/localhost":                    "internal/fault internal/store",
	"internal/loss":                         "internal/event internal/risk",
	"internal/metric":                       "internal/alert internal/journal internal/store",
	"internal/pictures":                     "",
	"internal/plan":                         "internal/approval internal/azureid internal/canonical internal/event internal/fault internal/policy internal/risk internal/store internal/wiring",
	"internal/policy":                       "internal/drill internal/azureid internal/canonical internal/fault internal/risk",
	"internal/remedy":                       "internal/canonical internal/fault internal/journal internal/store",
	"internal/remedy/rewire":                "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/rotate":                "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/attachidentity":        "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/enablepurgeprotection": "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/fixkeyops":             "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/opentrustedbypass":     "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/recoverkey":            "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/recovervault":          "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/reenableversion":       "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/repairs":               "internal/plan internal/remedy internal/remedy/attachidentity internal/remedy/enablepurgeprotection internal/remedy/fixkeyops internal/remedy/opentrustedbypass internal/remedy/quarantine internal/remedy/recoverkey internal/remedy/recovervault internal/remedy/recreateevents internal/remedy/reenableversion internal/remedy/restorediagnostics internal/remedy/restoregrant internal/remedy/rewire internal/remedy/rollbackdowngrade internal/remedy/setrotationpolicy",
	"internal/remedy/setrotationpolicy":     "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/restorediagnostics":    "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/quarantine":            "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/recreateevents":        "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/restoregrant":          "internal/azureid internal/fault internal/plan internal/remedy internal/wiring",
	"internal/remedy/rollbackdowngrade":     "internal/azureid internal/plan internal/remedy internal/remedy/rewire",
	"internal/risk":                         "internal/azureid internal/event internal/wiring",
	"internal/risk/risktest":                "internal/azureid internal/wiring",
	"internal/azure/graph/print":            "internal/azure/graph",
	"internal/heartbeat":                    "internal/fault",
	"internal/impact":                       "internal/azureid internal/risk internal/wiring",
	"internal/redact":                       "",
	"internal/self":                         "internal/event internal/risk internal/wiring",
	"internal/store":                        "internal/fault",
	"internal/store/azstore":                "internal/azure/azfault internal/fault internal/store",
	"internal/store/azurite":                "internal/store/azstore",
	"internal/store/filestore":              "internal/fault internal/store",
	"internal/store/memstore":               "internal/fault internal/store",
	"internal/store/overlay":                "internal/fault internal/store",
	"internal/store/storetest":              "internal/fault internal/store",
	"internal/wiring":                       "internal/azureid",
}

// sdkFree are the packages that decide: no SDK, no network, no clock of their own.
var sdkFree = []string{
	"internal/alert", "internal/alert/route",
	"internal/event", "internal/guard", "internal/incident", "internal/journal", "internal/plan", "internal/policy",
	"internal/remedy", "internal/remedy/rewire", "internal/remedy/rotate", "internal/risk", "internal/self", "internal/store", "internal/wiring",
}

func TestImportsFollowTheTable(t *testing.T) {
	t.Parallel()
	checked := 0
	for file, imports := range parseAll(t) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if dir == "." {
			dir = ""
		}
		allowed, listed := edges[dir]
		if !listed {
			t.Errorf("%s: package %q is not in the table", file, dir)
			continue
		}
		checked++
		for _, imp := range imports {
			checkImport(t, file, dir, imp, strings.Fields(allowed))
		}
	}
	if checked < 20 {
		t.Fatalf("only %d files were checked: the walk is broken", checked)
	}
}

func checkImport(t *testing.T, file, dir, imp string, allowed []string) {
	t.Helper()
	if own, ok := strings.CutPrefix(imp, "cmkguard/"); ok {
		if !slices.Contains(allowed, "*") && !slices.Contains(allowed, own) {
			t.Errorf("%s: %s may not import %s", file, dir, own)
		}
		return
	}
	outside := strings.HasPrefix(imp, "github.com/Azure/") || imp == "net/http" || strings.HasPrefix(imp, "modernc.org/")
	if outside && slices.Contains(sdkFree, dir) {
		t.Errorf("%s: %s decides and may not import %s", file, dir, imp)
	}
}

func parseAll(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "build" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			out[rel] = append(out[rel], p)
		}
		if out[rel] == nil {
			out[rel] = []string{}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

package handlers_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cmkguard/handlers/eventqueue"
	"cmkguard/handlers/keyvaultevents"
	"cmkguard/handlers/resourceevents"
	"cmkguard/handlers/vaultlogs"
	"cmkguard/handlers/work"
	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/plan"
)

// maxValues is how many values of advanced filters one event subscription takes
// (learn.microsoft.com event-grid/event-filtering).
const maxValues = 25

// actsOn says whether an event of that type about that operation makes a signal.
func actsOn(t *testing.T, typ, operation string) bool {
	t.Helper()
	id := onWhat(operation)
	p, err := event.ParseGrid([]byte(fmt.Sprintf(`{"id":"e1","specversion":"1.0","source":"/subscriptions/11111111-1111-1111-1111-111111111111",`+
		`"subject":%q,"type":%q,"time":"2026-11-01T00:00:00Z","data":{"operationName":%q,"resourceUri":%q,"status":"Succeeded"}}`, id, typ, operation, id)), azureid.Public())
	if err != nil || len(p.Rejected) > 0 {
		t.Fatalf("%s of %s: %v %+v", typ, operation, err, p.Rejected)
	}
	return len(p.Signals) == 1
}

// resourceTypes are the event types of a subscription's topic by what was done
// (learn.microsoft.com event-grid/event-schema-subscriptions).
func resourceTypes(verb string) []string {
	var out []string
	for _, end := range []string{"Success", "Failure", "Cancel"} {
		out = append(out, "Microsoft.Resources.Resource"+strings.ToUpper(verb[:1])+verb[1:]+end)
	}
	return out
}

// checkResources: whatever the code acts on is delivered, and nothing is named that
// it does not know.
func checkResources(t *testing.T, text string) (bad []string) {
	t.Helper()
	subs := heardIn(text)
	known, names := map[string]bool{}, operations(t)
	for _, name := range names {
		acts := false
		for _, typ := range resourceTypes(name[strings.LastIndexByte(name, '/')+1:]) {
			if !actsOn(t, typ, name) {
				continue
			}
			acts, known[typ] = true, true
			if !slices.ContainsFunc(subs, func(h heard) bool { return h.passes(typ, name) }) {
				bad = append(bad, fmt.Sprintf("%s of %s is acted on, and no event subscription delivers it", typ, name))
			}
		}
		if !acts && name != "microsoft.cache/redisenterprise/databases/regeneratekey/action" {
			bad = append(bad, name+" leads to nothing: this test gives it the wrong resource")
		}
	}
	if len(names) < 33 {
		bad = append(bad, fmt.Sprintf("only %d operations were found in internal/event", len(names)))
	}
	for _, h := range subs {
		if len(h.values) == 0 || len(h.values) > maxValues {
			bad = append(bad, fmt.Sprintf("%s: %d filter values, Azure takes 1 to %d", h.name, len(h.values), maxValues))
		}
		for _, typ := range h.types {
			if !known[typ] {
				bad = append(bad, fmt.Sprintf("%s: event type %s leads to nothing", h.name, typ))
			}
		}
		if !slices.Equal(h.keys, []string{"data.operationName"}) {
			bad = append(bad, fmt.Sprintf("%s: filters on %v; several filters must all pass", h.name, h.keys))
		}
		for _, v := range h.values {
			if !slices.ContainsFunc(names, func(n string) bool { return h.matches(v, n) }) {
				bad = append(bad, fmt.Sprintf("%s: %s (%s) matches no operation that the code knows", h.name, v, h.operator))
			}
		}
	}
	return bad
}

// checkVault: the types of Key Vault are those that the parser has by name.
func checkVault(t *testing.T, text string) (bad []string) {
	t.Helper()
	need := map[event.Kind]bool{event.KeyNearExpiry: true, event.KeyExpired: true, event.KeyNewVersion: true, event.AccessPolicyChanged: true}
	for _, h := range heardIn(text) {
		for _, typ := range h.types {
			p, err := event.ParseKeyVault([]byte(fmt.Sprintf(`{"id":"e1","specversion":"1.0","type":%q,"time":"2026-11-01T00:00:00Z","subject":"k",`+
				`"source":"/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-orders",`+
				`"data":{"Id":"https://kv-orders.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef"}}`, typ)), azureid.Public())
			if err != nil || len(p.Signals) != 1 || !need[p.Signals[0].Kind] {
				bad = append(bad, fmt.Sprintf("%s: %s is no event type that the parser acts on by name: %v", h.name, typ, err))
				continue
			}
			delete(need, p.Signals[0].Kind)
		}
	}
	for kind := range maps.Keys(need) {
		bad = append(bad, fmt.Sprintf("no event subscription takes %s", kind))
	}
	return bad
}

// deadLetters is where the sweep looks for what Event Grid gave up.
const deadLetters = "cmkguard-deadletter"

// checkDelivery: every event subscription goes to a queue or function that the code
// has, in the schema that all take, and leaves what it gives up where the sweep looks.
func checkDelivery(files map[string]string) (bad []string) {
	for _, name := range []string{"vault.bicep", "resources.bicep"} {
		text := files[name]
		for _, want := range []string{
			"queueName: '" + eventqueue.Queue + "'", "blobContainerName: '" + deadLetters + "'", "eventDeliverySchema: 'CloudEventSchemaV1_0'",
			"deadLetterWithResourceIdentity: {", "deliveryWithResourceIdentity: {", "endpointType: 'StorageQueue'", "endpointType: 'AzureFunction'",
		} {
			if strings.Count(text, want) != 1 {
				bad = append(bad, fmt.Sprintf("%s: want %s once", name, want))
			}
		}
		for _, h := range heardIn(text) {
			if !regexp.MustCompile(`properties: union\((route|delivered), \{`).MatchString(h.body) {
				bad = append(bad, fmt.Sprintf("%s: %s goes nowhere", name, h.name))
			}
		}
	}
	for module, function := range map[string]string{"vault.bicep": keyvaultevents.Name, "subscription.bicep": resourceevents.Name} {
		if got := all(files["main.bicep"], `(?s)'`+module+`' = .*?\bfunctionId: '\$\{app\.id\}/functions/(\w+)'`); !slices.Equal(got, []string{function}) {
			bad = append(bad, fmt.Sprintf("main.bicep: %s delivers to %v, want the function %s", module, got, function))
		}
	}
	for name, want := range map[string][]string{
		"main.bicep": {
			"name: '" + eventqueue.Queue + "'", "name: '" + work.Queue + "'",
			"name: '" + deadLetters + "'", "'AzureWebJobs." + vaultlogs.Name + ".Disabled': takeVaultLogs ? 'false' : 'true'",
			bindings()[vaultlogs.Name]["connection"] + "__fullyQualifiedNamespace: '${hubNamespace}.${hubDomain}'",
			bindings()[vaultlogs.Name]["connection"] + "__credential: 'managedidentity'", bindings()[vaultlogs.Name]["connection"] + "__clientId: observer.",
			"param takeVaultLogs bool = false",
		},
		"hub.bicep":       {"resource hub 'eventhubs' = {\n    name: '" + vaultlogs.Hub + "'", "name: 'diagnostics'"},
		"vault.bicep":     {"eventHubName: '" + vaultlogs.Hub + "'", "{ category: 'AuditEvent', enabled: true }", "topicType: 'Microsoft.KeyVault.vaults'"},
		"resources.bicep": {"topicType: 'Microsoft.Resources.Subscriptions'", "location: 'global'"},
	} {
		for _, w := range want {
			if !strings.Contains(files[name], w) {
				bad = append(bad, fmt.Sprintf("%s: want %s", name, w))
			}
		}
	}
	return bad
}

// roleIDs are the built-in roles by the names that the templates give them
// (learn.microsoft.com role-based-access-control/built-in-roles).
func roleIDs() map[string]string {
	return map[string]string{
		"blobDataOwner":        "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
		"blobDataContributor":  "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
		"queueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
		"queueMessageSender":   "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
		"tableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
		"metricsPublisher":     "3913510d-42f4-4e42-8a64-420c390055eb",
		"dataReceiver":         "a638d3c7-ab3a-418d-83e6-5f17a39d4fde",
	}
}

// checkText: the ids of roles are known ones by their own names, and brackets pair.
func checkText(files map[string]string) (bad []string) {
	known := roleIDs()
	for name, text := range files {
		for _, m := range regexp.MustCompile(`(\w+)(?:: | = )'([0-9A-Fa-f-]{30,})'`).FindAllStringSubmatch(text, -1) {
			if known[m[1]] != m[2] || plan.HouseRoles()[m[2]] == "" {
				bad = append(bad, fmt.Sprintf("%s: %s is not the id of the role %s", name, m[2], m[1]))
			}
			delete(known, m[1])
		}
		for _, pair := range []string{"{}", "[]", "()"} {
			if a, b := strings.Count(text, pair[:1]), strings.Count(text, pair[1:]); a != b {
				bad = append(bad, fmt.Sprintf("%s: %d %s and %d %s", name, a, pair[:1], b, pair[1:]))
			}
		}
	}
	for name := range known {
		bad = append(bad, "the role "+name+" stands nowhere")
	}
	return bad
}

func checkInfra(t *testing.T, files map[string]string) []string {
	t.Helper()
	return slices.Concat(checkResources(t, files["resources.bicep"]), checkVault(t, files["vault.bicep"]), checkDelivery(files), checkText(files))
}

func infra(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "infra", "*.bicep"))
	if err != nil || len(paths) < 7 {
		t.Fatalf("%d Bicep files: %v", len(paths), err)
	}
	files := map[string]string{}
	for _, p := range paths {
		files[filepath.Base(p)] = load(t, p)
	}
	return files
}

// Bicep cannot be compiled by go test: this holds what it says against the code.
func TestInfraDeliversWhatTheCodeActsOn(t *testing.T) {
	t.Parallel()
	for _, p := range checkInfra(t, infra(t)) {
		t.Error(p)
	}
}

// What breaks the delivery is found, and says what.
func TestWrongInfraIsFound(t *testing.T) {
	t.Parallel()
	many := "'Microsoft.Network/azureFirewalls/write'" + strings.Repeat("\n'Microsoft.Network/azureFirewalls/write'", 9)
	for name, c := range map[string]struct{ file, old, new, want string }{
		"an operation left out":      {"resources.bicep", "'Microsoft.Authorization/locks/delete'", "", "ResourceDeleteSuccess of microsoft.authorization/locks/delete is acted on"},
		"a prefix left out":          {"resources.bicep", "'Microsoft.KeyVault/locations/deletedVaults/'", "", "ResourceActionSuccess of microsoft.keyvault/locations/deletedvaults/purge/action"},
		"a prefix that means itself": {"resources.bicep", "'StringBeginsWith'", "'StringIn'", "microsoft.cache/redisenterprise/write is acted on"},
		"a second filter":            {"resources.bicep", "advancedFilters: [", "advancedFilters: [{ operatorType: 'StringIn', key: 'subject', values: ['x'] }", "several filters must all pass"},
		"a value misspelt":           {"resources.bicep", "Microsoft.Insights/diagnosticSettings/delete", "Microsoft.Insights/diagnosticSetting/delete", "matches no operation"},
		"too many values":            {"resources.bicep", "'Microsoft.Network/azureFirewalls/write'", many, "governance: 26 filter values"},
		"a type left out":            {"resources.bicep", "'Microsoft.Resources.ResourceWriteCancel'", "", "ResourceWriteCancel of microsoft.cache/redisenterprise/write"},
		"a type of nobody":           {"resources.bicep", "'Microsoft.Resources.ResourceActionSuccess'", "'Microsoft.Resources.ResourceActionSuccess'\n'Microsoft.Resources.ResourceActionFailure'", "ResourceActionFailure leads to nothing"},
		"a vault's type misspelt":    {"vault.bicep", "KeyNearExpiry'", "KeyNearlyExpiry'", "no event subscription takes"},
		"a vault's type left out":    {"vault.bicep", "'Microsoft.KeyVault.VaultAccessPolicyChanged'", "", "no event subscription takes"},
		"another queue":              {"vault.bicep", "queueName: 'cmkguard-events'", "queueName: 'cmkguard-work'", "vault.bicep: want queueName"},
		"the queue renamed":          {"main.bicep", "name: 'cmkguard-events'", "name: 'cmkguard-event'", "main.bicep: want name: 'cmkguard-events'"},
		"another hub":                {"hub.bicep", "insights-logs-auditevent", "insights-logs-audit", "hub.bicep: want resource hub"},
		"logs to another hub":        {"vault.bicep", "eventHubName: 'insights-logs-auditevent'", "eventHubName: 'audit'", "vault.bicep: want eventHubName"},
		"another function":           {"main.bicep", "functions/resourceevents", "functions/keyvaultevents", "subscription.bicep delivers to [keyvaultevents], want the function resourceevents"},
		"the switch of nobody":       {"main.bicep", "AzureWebJobs.vaultlogs", "AzureWebJobs.vaultlog", "want 'AzureWebJobs.vaultlogs.Disabled'"},
		"no dead letters":            {"resources.bicep", "deadLetterWithResourceIdentity", "deadLetters", "want deadLetterWithResourceIdentity"},
		"delivered nowhere":          {"resources.bicep", "properties: union(delivered, {", "properties: ({", "chain goes nowhere"},
		"a role cut short":           {"hub.bicep", "5f17a39d4fde", "5f17a39d4fd", "is not the id of the role dataReceiver"},
		"another role":               {"main.bicep", "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a", "974c5e8b-45b9-4653-ba55-5f855dd0fb88", "is not the id of the role queueMessageSender"},
		"a brace too few":            {"subscription.bicep", "  params: {", "  params: ", "subscription.bicep: 2 { and 3 }"},
	} {
		files := infra(t)
		wrong := strings.Replace(files[c.file], c.old, c.new, 1)
		if wrong == files[c.file] {
			t.Errorf("%s: %s does not hold %s", name, c.file, c.old)
			continue
		}
		files[c.file] = wrong
		if got := strings.Join(checkInfra(t, files), "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%s:\n%s\nwant %s", name, got, c.want)
		}
	}
}

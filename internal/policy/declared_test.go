package policy

import (
	"strings"
	"testing"
)

// What remedies write is refused by line where it cannot be right.
func TestDeclarationsThatCannotBe(t *testing.T) {
	const v = "version: 1\n"
	for name, c := range map[string]struct{ text, want string }{
		"half a rotation":     {v + "rotationPolicy: {expiryTime: 2y}\n", "2 rotationPolicy: has no rotateAfter: want rotateAfter: 90d or 2y, say: it is not guessed"},
		"rotation in hours":   {v + "rotationPolicy: {rotateAfter: 900h, expiryTime: 2y, notifyBefore: 30d}\n", `2 rotationPolicy.rotateAfter: "900h" is no period`},
		"rotation too soon":   {v + "rotationPolicy: {rotateAfter: 6d, expiryTime: 2y, notifyBefore: 30d}\n", "2 rotationPolicy: rotateAfter is 6 days: Key Vault wants 7d or more"},
		"short life":          {v + "rotationPolicy: {rotateAfter: 7d, expiryTime: 27d, notifyBefore: 5d}\n", "expiryTime is 27 days: Key Vault wants 28d"},
		"rotation too late":   {v + "rotationPolicy: {rotateAfter: 724d, expiryTime: 2y, notifyBefore: 30d}\n", "less than seven days before expiry (730 days)"},
		"notice before birth": {v + "rotationPolicy: {rotateAfter: 30d, expiryTime: 60d, notifyBefore: 60d}\n", "notifyBefore is 60 days, before the version is made"},
		"a life of eleven":    {v + "rotationPolicy: {rotateAfter: 30d, expiryTime: 11y, notifyBefore: 60d}\n", `"11y" is above ten years`},
		"log to nowhere":      {v + "diagnostics: {name: a}\n", "2 diagnostics: sends nowhere: want workspace, eventHubRule or storage"},
		"log to a name":       {v + "diagnostics: {name: a, workspace: log}\n", `2 diagnostics.workspace: "log" is no id of a Microsoft.OperationalInsights/workspaces: want /subscriptions/ID/resourceGroups/NAME/providers/Microsoft.OperationalInsights/workspaces/NAME`},
		"log to a vault":      {v + "diagnostics: {name: a, storage: /subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v}\n", "is no id of a Microsoft.Storage/storageAccounts"},
		"log of no name":      {v + "diagnostics: {name: a/b, storage: /subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/v}\n", `2 diagnostics.name: "a/b" is no name`},
		"hub without rule":    {v + "diagnostics: {name: a, eventHub: h, storage: /subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/v}\n", "has eventHub without eventHubRule"},
		"events of no topic":  {v + "eventSubscription: {name: a, function: /subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x/functions/f}\n", "2 eventSubscription: has no topic: want topic: cmkguard-{vault}"},
		"one topic for all":   {v + "eventSubscription: {topic: t}\n", `2 eventSubscription.topic: "t" is the same for every vault`},
		"topic with a slash":  {v + "eventSubscription: {topic: \"a/{vault}\"}\n", "2 eventSubscription.topic: \"a/{vault}\" is no name"},
		"events to nowhere":   {v + "eventSubscription: {topic: \"t-{vault}\", name: a}\n", "2 eventSubscription: leads nowhere, or to two places"},
		"events to a site":    {v + "eventSubscription: {topic: \"t-{vault}\", name: a, function: /subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x}\n", "is no id of a Microsoft.Web/sites/functions: want /subscriptions/ID/resourceGroups/NAME/providers/Microsoft.Web/sites/NAME/functions/NAME"},
		"queue without name":  {v + "eventSubscription: {topic: \"t-{vault}\", name: a, queue: {account: /subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/x}}\n", "2 eventSubscription.queue: has no name"},
		"nobody delivers":     {v + "eventSubscription: {topic: \"t-{vault}\", name: a, queue: {name: q, account: /subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/x}}\n", "2 eventSubscription: has no identity"},
		"heard by nobody":     {v + "resourceEvents: {subscriptions: [11111111-1111-1111-1111-111111111111]}\n", "2 resourceEvents: leads nowhere: want function (resourceevents) or queue (cmkguard-events)"},
		"heard by a site":     {v + "resourceEvents: {function: /subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x}\n", "2 resourceEvents.function: \"/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x\" is no id of a Microsoft.Web/sites/functions"},
		"heard by an account": {v + "resourceEvents: {queue: {account: /subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/x}}\n", "2 resourceEvents.queue: has no name"},
		"of all below a path": {v + "resourceEvents:\n  function: /subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x/functions/f\n  subscriptions: [/subscriptions/s]\n", "4 resourceEvents.subscriptions[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(refuse(t, c.text), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("got:\n%s\nwant %s", got, c.want)
			}
		})
	}
}

// Which subscriptions are to be heard, and by whom.
func TestResourceEventsAreDeclared(t *testing.T) {
	t.Parallel()
	const one, two = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-22222222222A"
	const site = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x/functions/f"
	for text, want := range map[string][2]bool{
		"": {false, false},
		"resourceEvents: {function: " + site + "}\n": {true, true},
		"resourceEvents: {queue: {name: q, account: /subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/x}}\n": {true, true},
		"resourceEvents: {function: " + site + ", subscriptions: [" + strings.ToLower(two) + "]}\n":                                      {false, true},
	} {
		p := parse(t, "version: 1\n"+text)
		if d := p.Declared.Resources; d.Asks(one) != want[0] || d.Asks(two) != want[1] || d.Set() != (text != "") {
			t.Errorf("%q: %+v", text, d)
		}
	}
}

// Vaults' ears are watched and the subscriptions' are not: that is said.
func TestEarsThatNobodyWatches(t *testing.T) {
	t.Parallel()
	const to = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x/functions/"
	const vaults = "version: 1\neventSubscription: {topic: \"t-{vault}\", name: a, function: " + to + "keyvaultevents}\n"
	if got := parse(t, vaults).Warnings(); len(got) != 1 || !strings.HasPrefix(got[0], "policy.yaml:2: eventSubscription ") || !strings.Contains(got[0], "SELF-001") {
		t.Errorf("%q", got)
	}
	for _, text := range []string{"version: 1\n", vaults + "resourceEvents: {function: " + to + "resourceevents}\n"} {
		if got := parse(t, text).Warnings(); len(got) != 0 {
			t.Errorf("%q: %q", text, got)
		}
	}
}

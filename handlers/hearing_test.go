package handlers_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/wiring"
)

// What we say that we rely on is what the code acts on: a name added there and
// forgotten here could be cut and nobody be told.
func TestWhatWeRelyOnIsWhatTheCodeActsOn(t *testing.T) {
	t.Parallel()
	relied := map[string]string{}
	for _, o := range event.Relied() {
		relied[strings.ToLower(o.Operation)] = o.Type
	}
	// What a firewall elsewhere lets through is a matter of the next look.
	optional := []string{"microsoft.network/firewallpolicies/write", "microsoft.network/azurefirewalls/write"}
	for _, name := range operations(t) {
		typ := resourceTypes(name[strings.LastIndexByte(name, '/')+1:])[0]
		acts := actsOn(t, typ, name) && !slices.Contains(optional, name)
		if got := relied[name]; acts && got != typ || !acts && got != "" {
			t.Errorf("%s: acted on %t, relied on as %q", name, acts, got)
		}
		delete(relied, name)
	}
	for name := range relied {
		t.Errorf("%s is relied on, and the code does not know it", name)
	}
}

// The event subscriptions that infra makes are all that SELF-001 asks for, and neither
// alone is.
func TestInfraIsHeard(t *testing.T) {
	t.Parallel()
	const sub = "11111111-1111-1111-1111-111111111111"
	const topic, function = "/subscriptions/" + sub + "/resourceGroups/g/providers/Microsoft.EventGrid/systemTopics/t", "/function"
	var all []wiring.EventSubscription
	for _, h := range heardIn(infra(t)["resources.bicep"]) {
		all = append(all, wiring.EventSubscription{
			ID: topic + "/eventSubscriptions/" + h.name, State: "Succeeded", Types: h.types, To: function,
			Filters: []wiring.EventFilter{{Operator: h.operator, Key: h.keys[0], Values: h.values}},
		})
	}
	if len(all) != 2 {
		t.Fatalf("%d event subscriptions", len(all))
	}
	now := time.Now()
	for want, list := range map[risk.Answer][][]wiring.EventSubscription{risk.OK: {all}, risk.Broken: {all[:1], all[1:]}} {
		for _, l := range list {
			h := wiring.Hearing{Subscription: sub, Topic: wiring.Read(wiring.SystemTopic{ID: azureid.MustResource(topic), State: "Succeeded"}, "", now), Heard: wiring.Read(l, "", now)}
			if v, _ := self.JudgeEvents(h, []self.Ear{{ID: function}}, wiring.Heard{}, now); v.Answer != want {
				t.Errorf("%d of them: %s %s", len(l), v.Answer, v.Why)
			}
		}
	}
}

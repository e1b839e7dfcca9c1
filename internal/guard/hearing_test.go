package guard_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/guard"
)

const (
	hears     = root + "Microsoft.EventGrid/systemTopics/cmkguard-resources"
	allTopics = "/subscriptions/" + sub + "/providers/Microsoft.EventGrid/systemTopics"
	onEvents  = root + "Microsoft.Web/sites/cmkguard/functions/resourceevents"

	stateAccount = root + "Microsoft.Storage/storageAccounts/stguard"
	deliverer    = root + "Microsoft.ManagedIdentity/userAssignedIdentities/id-delivery"
)

// listening is a world whose policy says where a subscription's events lead, and where
// they do.
func listening(t *testing.T, change func(*setup)) *world {
	t.Helper()
	o := setup{kind: "v1", created: 72 * time.Hour}
	o.declare.Resources.Function, o.declare.Resources.Account, o.declare.Resources.Queue = onEvents, stateAccount, "cmkguard-events"
	if change != nil {
		change(&o)
	}
	w := newWorld(t, o)
	w.g.Watch, w.g.Reconcile = guard.Watch{Beats: true, Subscriptions: []string{strings.ToUpper(sub)}}, time.Hour
	w.sim.SetResourceEvents(topic(), told2())
	return w
}

func topic() azureid.Resource { return azureid.MustResource(hears) }

// told2 are the two event subscriptions, by name.
func told2() map[string]map[string]any {
	var rest []any
	for _, o := range event.Relied() {
		if !strings.HasPrefix(o.Operation, "Microsoft.Cache/") && !strings.HasPrefix(o.Operation, "Microsoft.KeyVault/") {
			rest = append(rest, o.Operation)
		}
	}
	filtered := func(operator string, values ...any) map[string]any {
		out := leads(onEvents, "Succeeded")
		out["filter"] = map[string]any{"advancedFilters": []any{map[string]any{"operatorType": operator, "key": "data.operationName", "values": values}}}
		return out
	}
	return map[string]map[string]any{
		"cmkguard-chain":      filtered("StringBeginsWith", "Microsoft.Cache/redisEnterprise/", "Microsoft.KeyVault/"),
		"cmkguard-governance": filtered("StringIn", rest...),
	}
}

// byIdentity is one that leads to the queue, by an identity of its topic.
func byIdentity() map[string]any {
	return map[string]any{"provisioningState": "Succeeded", "deliveryWithResourceIdentity": map[string]any{
		"identity":    map[string]any{"type": "UserAssigned", "userAssignedIdentity": deliverer},
		"destination": map[string]any{"endpointType": "StorageQueue", "properties": map[string]any{"resourceId": stateAccount, "queueName": "cmkguard-events"}},
	}}
}

// with is them with one changed; nil leaves it out.
func with(name string, props map[string]any) map[string]map[string]any {
	all := told2()
	if all[name] = props; props == nil {
		delete(all, name)
	}
	return all
}

// What cuts our ears in a subscription is told once with what it is, a read that fails
// neither opens nor ends anything, and what hears again is told too.
func TestEventsOfASubscriptionReachUs(t *testing.T) {
	t.Parallel()
	narrow := leads(onEvents, "Succeeded", "Microsoft.Resources.ResourceWriteSuccess")
	expired := leads(onEvents, "Succeeded")
	expired["expirationTimeUtc"] = "2026-01-01T00:00:00Z"
	for name, c := range map[string]struct {
		cut  func(w *world)
		says string
	}{
		"one is deleted":       {func(w *world) { w.sim.SetResourceEvents(topic(), with("cmkguard-governance", nil)) }, "Microsoft.Authorization/roleAssignments/write"},
		"the topic is deleted": {func(w *world) { w.sim.RemoveTopic(topic()) }, "has no system topic"},
		"the topic failed":     {func(w *world) { w.sim.SetTopicState(topic(), "Failed") }, "in state Failed"},
		"one failed":           {func(w *world) { w.sim.SetResourceEvents(topic(), with("cmkguard-chain", leads(onEvents, "Failed"))) }, "cmkguard-chain is in state Failed"},
		"one leads elsewhere":  {func(w *world) { w.sim.SetResourceEvents(topic(), with("cmkguard-chain", leads(function, "Succeeded"))) }, "Microsoft.Cache/redisEnterprise/write"},
		"all lead elsewhere": {func(w *world) {
			w.sim.SetResourceEvents(topic(), map[string]map[string]any{"theirs": leads(function, "Succeeded")})
		}, "none of the 1 event subscriptions of its topic cmkguard-resources leads to function resourceevents"},
		"one leaves out types": {func(w *world) { w.sim.SetResourceEvents(topic(), with("cmkguard-governance", narrow)) }, "roleAssignments/delete"},
		"the topic lost its identity": {func(w *world) {
			by := with("cmkguard-chain", byIdentity())
			w.sim.SetResourceEvents(topic(), by)
			w.sim.SetTopicIdentities(topic(), strings.ToUpper(deliverer))
			w.hours(1)
			w.want("by its identity", "SELF-001", 0, 0)
			w.sim.SetTopicIdentities(topic())
		}, "cmkguard-chain delivers by the identity id-delivery, which its topic cmkguard-resources does not have"},
		"one expired": {func(w *world) { w.sim.SetResourceEvents(topic(), with("cmkguard-chain", expired)) }, "cmkguard-chain expired at 2026-01-01T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := listening(t, nil)
			w.hours(1)
			w.want("all is well", "SELF-001", 0, 0)
			w.refuseTopics(403)
			w.hours(1)
			w.want("refused", "SELF-001", 0, 0)
			w.sim.ClearFaults()
			c.cut(w)
			w.refuseTopics(429)
			w.hours(1)
			w.want("throttled", "SELF-001", 0, 0)
			w.sim.ClearFaults()
			w.hours(2)
			w.want("deaf", "SELF-001", 1, 0)
			if !w.told.has("SELF-001", c.says) || !w.told.has("SELF-001", "its events led to us") {
				t.Fatalf("not told %q: %s", c.says, w.told.first(t, "SELF-001").What)
			}
			w.refuseTopics(403)
			w.hours(1)
			w.want("refused again", "SELF-001", 1, 0)
			w.sim.ClearFaults()
			w.sim.SetResourceEvents(topic(), told2())
			w.hours(1)
			w.want("mended", "SELF-001", 1, 1)
		})
	}
}

// refuseTopics refuses every way to look but Resource Graph.
func (w *world) refuseTopics(status int) {
	for _, path := range []string{hears, hears + "/eventSubscriptions", allTopics} {
		w.refuse(status, http.MethodGet, path)
	}
}

// looks counts the calls about the subscription's topic.
func (w *world) looks() (n int) {
	for _, path := range []string{hears, hears + "/eventSubscriptions", allTopics} {
		n += w.sim.Count(http.MethodGet, path)
	}
	return n
}

// Resource Graph may not show what is there, and show what is gone.
func TestAListAloneDoesNotMakeUsDeaf(t *testing.T) {
	t.Parallel()
	w := listening(t, nil)
	w.sim.HideFromGraph(topic())
	w.hours(2) // never seen there, and found all the same
	w.want("hidden from the list", "SELF-001", 0, 0)
	w.refuse(403, http.MethodGet, allTopics)
	w.hours(1) // where it was before
	w.want("found where it was", "SELF-001", 0, 0)
	w.sim.RemoveTopic(topic())
	w.hours(1) // the last way to look is refused
	w.want("not known", "SELF-001", 0, 0)
	w.sim.ClearFaults()
	w.hours(1)
	w.want("it is gone", "SELF-001", 1, 0)

	w = listening(t, func(o *setup) { o.azure.GraphLag = 5 * time.Hour })
	w.hours(6)
	w.sim.RemoveTopic(topic())
	w.hours(1)
	w.want("the list still has it", "SELF-001", 1, 0)
	moved := azureid.MustResource(hears + "-2")
	w.sim.SetResourceEvents(moved, told2())
	w.hours(1)
	w.want("the list lacks the new one", "SELF-001", 1, 1)
}

// What we may not see is unknown, not gone.
func TestTopicsThatMayBeHidden(t *testing.T) {
	t.Parallel()
	w := listening(t, nil)
	w.hours(1)
	me := azuresim.Caller{Name: "guard", ObjectID: "99999999-9999-9999-9999-999999999999", Token: "token", Reads: true, Writes: true, Repairs: true}
	hidden := me
	hidden.Hidden = []string{strings.ToLower(hears)}
	w.sim.AddCaller(hidden)
	w.hours(2)
	w.want("the topic is hidden", "SELF-001", 0, 0)

	w = listening(t, nil)
	me.Reads = false
	w.sim.AddCaller(me)
	w.hours(2)
	w.want("we may read nothing", "SELF-001", 0, 0)
}

// The event of a deletion has it judged at once, with who did it; that of the new one
// ends it. Another's topic costs nothing while we hear.
func TestDeafnessIsHeardAtOnce(t *testing.T) {
	t.Parallel()
	const child = "/eventSubscriptions/cmkguard-governance"
	w := listening(t, nil)
	w.hours(1)
	w.g.Reconcile = 0 // from here on by events alone
	n := w.looks()
	w.take(w.sim.ResourceDeleted("Microsoft.EventGrid/systemTopics/eventSubscriptions/delete", root+"Microsoft.EventGrid/systemTopics/theirs/eventSubscriptions/x"))
	w.run(1)
	if w.looks() != n {
		t.Fatalf("%d reads because of another's topic", w.looks()-n)
	}
	w.sim.SetResourceEvents(topic(), with("cmkguard-governance", nil))
	w.take(w.sim.ResourceDeleted("microsoft.eventgrid/SYSTEMTOPICS/eventSubscriptions/delete", strings.Replace(hears, "cmkguard", "CMKguard", 1)+child))
	w.run(1)
	w.want("deleted", "SELF-001", 1, 0)
	a := w.told.first(t, "SELF-001")
	if !strings.Contains(strings.Join(a.Evidence, " "), "systemTopics") || a.Actor == "" {
		t.Fatalf("who did it is not said: %q %v", a.Actor, a.Evidence)
	}
	w.sim.SetResourceEvents(topic(), with("cmkguard-governance", leads(onEvents, "Creating")))
	w.take(w.written(hears + child))
	w.run(0)
	w.work()
	w.want("it is being made", "SELF-001", 1, 0)
	w.sim.SetResourceEvents(topic(), with("cmkguard-governance", leads(onEvents, "Succeeded")))
	w.run(1) // the signal comes again by itself
	w.want("made", "SELF-001", 1, 1)

	w.sim.RemoveTopic(topic())
	w.take(w.sim.ResourceDeleted("Microsoft.EventGrid/systemTopics/delete", hears))
	w.run(1)
	w.want("the topic is deleted", "SELF-001", 2, 1)
	w.sim.SetResourceEvents(azureid.MustResource(hears+"-2"), told2())
	w.take(w.written(hears + "-2" + child))
	w.run(1)
	w.want("another topic", "SELF-001", 2, 2)
}

// written is the event of an event subscription that was written.
func (w *world) written(id string) json.RawMessage {
	raw := string(w.sim.ResourceDeleted("Microsoft.EventGrid/systemTopics/eventSubscriptions/write", id))
	return json.RawMessage(strings.Replace(raw, "ResourceDeleteSuccess", "ResourceWriteSuccess", 1))
}

// Nothing is judged, nothing is called, where the policy does not ask; what was open
// then is over. What may be pasted names what is declared.
func TestOnlyWhatThePolicyAsks(t *testing.T) {
	t.Parallel()
	w := listening(t, nil)
	w.sim.RemoveTopic(topic())
	w.hours(1)
	w.want("deaf", "SELF-001", 1, 0)
	h, err := w.g.Health(ctx)
	if err != nil || len(h.Open) != 1 || h.Open[0].Check != "SELF-001" {
		t.Fatalf("%+v %v", h, err)
	}
	line := w.told.first(t, "SELF-001").Commands[1].Line
	if want := "az deployment group create --subscription " + sub + " --resource-group " + topic().ResourceGroup() + " --parameters infra/main.bicepparam --parameters connectEvents=true"; line != want {
		t.Fatalf("%s\nwant %s", line, want)
	}
	w.g.Policy.Declared.Resources.Subscriptions = []string{"22222222-2222-2222-2222-222222222222"}
	n := w.looks()
	w.take(w.sim.ResourceDeleted("Microsoft.EventGrid/systemTopics/delete", hears))
	w.hours(1)
	w.want("not asked", "SELF-001", 1, 0)
	if !slices.ContainsFunc(w.told.all, func(a alert.Alert) bool {
		return a.Check == "SELF-001" && strings.HasPrefix(a.Title, "Over: ") && strings.Contains(a.What, "not asked")
	}) {
		t.Fatal("people were not told that it is over, and why")
	}
	w.g.Policy.Declared.Resources.Function = ""
	w.hours(1)
	if got := w.looks(); got != n {
		t.Fatalf("%d calls though nobody asks", got-n)
	}
}

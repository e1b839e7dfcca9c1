package self_test

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

const (
	sub       = "11111111-1111-1111-1111-111111111111"
	topicID   = "/subscriptions/" + sub + "/resourceGroups/g/providers/Microsoft.EventGrid/systemTopics/cmkguard-resources"
	function  = "/subscriptions/" + sub + "/resourceGroups/g/providers/Microsoft.Web/sites/cmkguard/functions/resourceevents"
	deliverer = "/subscriptions/" + sub + "/resourcegroups/g/providers/microsoft.managedidentity/userassignedidentities/id-delivery"
	account   = "/subscriptions/" + sub + "/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/stguard"
)

func where(key, operator string, values ...string) wiring.EventFilter {
	return wiring.EventFilter{Operator: operator, Key: key, Values: values}
}

func toUs(name string, filters ...wiring.EventFilter) wiring.EventSubscription {
	return wiring.EventSubscription{ID: topicID + "/eventSubscriptions/" + name, State: "Succeeded", Kind: "AzureFunction", To: strings.ToUpper(function), Filters: filters}
}

// both are two that share what is needed, as infra makes them.
func both() []wiring.EventSubscription {
	chain := toUs("chain", where("data.operationName", "StringBeginsWith", "Microsoft.Cache/redisEnterprise/", "microsoft.keyvault/", "Microsoft.ManagedIdentity/"))
	chain.Types = []string{"Microsoft.Resources.ResourceWriteSuccess", "microsoft.resources.resourcedeletesuccess", "Microsoft.Resources.ResourceActionSuccess"}
	var rest []string
	for _, o := range event.Relied() {
		if strings.HasPrefix(o.Operation, "Microsoft.Authorization/") || strings.HasPrefix(o.Operation, "Microsoft.Insights/") ||
			strings.HasPrefix(o.Operation, "Microsoft.EventGrid/") || strings.HasPrefix(o.Operation, "Microsoft.Network/") {
			rest = append(rest, o.Operation)
		}
	}
	governance := toUs("governance", where("DATA.operationName", "StringIn", rest...))
	governance.Types = []string{"Microsoft.Resources.ResourceWriteSuccess", "Microsoft.Resources.ResourceDeleteSuccess"}
	return []wiring.EventSubscription{chain, governance}
}

func hearing(list ...wiring.EventSubscription) wiring.Hearing {
	topic := wiring.SystemTopic{ID: azureid.MustResource(topicID), Source: "/subscriptions/" + sub, State: "Succeeded", Identities: []string{deliverer}}
	return wiring.Hearing{
		Subscription: sub,
		Topic:        wiring.Read(topic, "arm GET topic", now),
		Heard:        wiring.Read(list, "arm GET eventSubscriptions", now),
	}
}

func judgeEvents(h wiring.Hearing, before wiring.Heard) (risk.Verdict, wiring.Heard) {
	return self.JudgeEvents(h, []self.Ear{{ID: function}, {ID: account, Queue: "cmkguard-events"}}, before, now)
}

// What is there answers, and a broken answer names the part that is deaf.
func TestWhatIsDoneReachesUs(t *testing.T) {
	t.Parallel()
	const ok, broken, unknown = risk.OK, risk.Broken, risk.Unknown
	one := func(change func(*wiring.EventSubscription)) []wiring.EventSubscription {
		list := both()
		change(&list[1])
		return list
	}
	with := func(f ...wiring.EventFilter) []wiring.EventSubscription {
		return []wiring.EventSubscription{toUs("all", f...)}
	}
	for name, c := range map[string]struct {
		list []wiring.EventSubscription
		want risk.Answer
		says string
	}{
		"two together":      {both(), ok, "chain, governance"},
		"one without limit": {with(), ok, "by all"},
		"to the queue": {one(func(e *wiring.EventSubscription) {
			e.Kind, e.To, e.Queue = "StorageQueue", account, "cmkguard-events"
		}), ok, ""},
		"to another queue": {one(func(e *wiring.EventSubscription) {
			e.Kind, e.To, e.Queue = "StorageQueue", account, "other"
		}), broken, "the filters of chain leave them out"},
		"none at all":           {nil, broken, "none of the 0 event subscriptions of its topic cmkguard-resources leads to function resourceevents or queue cmkguard-events of stguard"},
		"one is gone":           {both()[:1], broken, "Microsoft.Authorization/roleAssignments/write"},
		"one failed":            {one(func(e *wiring.EventSubscription) { e.State = "Failed" }), broken, "governance is in state Failed"},
		"one waits for a hand":  {one(func(e *wiring.EventSubscription) { e.State = "AwaitingManualAction" }), broken, "AwaitingManualAction"},
		"one is made":           {one(func(e *wiring.EventSubscription) { e.State = "Creating" }), unknown, "governance is about to work"},
		"one expired":           {one(func(e *wiring.EventSubscription) { e.Expires = now }), broken, "governance expired at 2026-11-01T12:00:00Z"},
		"one will expire":       {one(func(e *wiring.EventSubscription) { e.Expires = now.Add(time.Second) }), ok, ""},
		"deletes are left out":  {one(func(e *wiring.EventSubscription) { e.Types = e.Types[:1] }), broken, "Microsoft.Authorization/roleAssignments/delete"},
		"an operation less":     {one(func(e *wiring.EventSubscription) { e.Filters[0].Values = e.Filters[0].Values[1:] }), broken, "not told to us are Microsoft.Authorization/roleAssignments/write: the filters of chain, governance leave them out"},
		"one group alone":       {with(where("subject", "StringBeginsWith", "/subscriptions/"+sub+"/resourceGroups/g")), broken, "leave them out"},
		"the whole of it":       {with(where("subject", "StringBeginsWith", "/SUBSCRIPTIONS/"+sub)), ok, ""},
		"by an end":             {with(where("subject", "StringEndsWith", "/x")), broken, ""},
		"but one group":         {with(where("subject", "StringNotContains", "/rg-x/")), unknown, "all filters on subject"},
		"that succeeded":        {with(where("data.status", "StringIn", "succeeded", "failed")), ok, ""},
		"what failed":           {with(where("data.status", "StringIn", "Failed")), broken, ""},
		"of this subscription":  {with(where("data.subscriptionId", "StringIn", sub), where("source", "StringContains", sub)), ok, ""},
		"of some providers":     {with(where("data.resourceProvider", "StringIn", "Microsoft.KeyVault")), broken, "Microsoft.Cache/redisEnterprise/write"},
		"but some":              {with(where("data.operationName", "StringNotBeginsWith", "Microsoft.Compute/", "Microsoft.Storage/")), ok, ""},
		"but ours":              {with(where("data.operationName", "StringNotBeginsWith", "Microsoft.KeyVault/vaults/delete")), broken, "not told to us are Microsoft.KeyVault/vaults/delete:"},
		"by a part of it":       {with(where("data.operationName", "StringContains", "/")), ok, ""},
		"by its end":            {with(where("data.operationName", "StringNotEndsWith", "/action")), broken, "purge/action"},
		"that is there":         {with(where("data.operationName", "IsNotNull")), ok, ""},
		"that is not":           {with(where("data.operationName", "IsNullOrUndefined")), broken, ""},
		"by who did it":         {with(where("data.claims.appid", "StringIn", "x")), unknown, "all filters on data.claims.appid"},
		"by who did it, beside": {append(both(), toUs("odd", where("data.claims.appid", "StringIn", "x"))), ok, ""},
		"by numbers":            {with(where("data.operationName", "NumberIn", "1")), unknown, ""},
		"by an identity":        {one(func(e *wiring.EventSubscription) { e.As = deliverer }), ok, ""},
		"by another's": {one(func(e *wiring.EventSubscription) { e.As = "/s/id-other" }), broken,
			"governance delivers by the identity id-other, which its topic cmkguard-resources does not have"},
		"every type by name": {one(func(e *wiring.EventSubscription) { e.Types = []string{"All"} }), ok, ""},
	} {
		v, _ := judgeEvents(hearing(c.list...), wiring.Heard{})
		if v.Answer != c.want || !strings.Contains(v.Why, c.says) || v.Subject.ID != "/subscriptions/"+sub || len(v.Evidence) != 2 {
			t.Errorf("%s: %s %s, want %s with %q", name, v.Answer, v.Why, c.want, c.says)
		}
	}
}

// What cannot be read is unknown, what is not there is told with since when; and
// neither forgets where it was.
func TestWhatIsRememberedOfAnEar(t *testing.T) {
	t.Parallel()
	v, good := judgeEvents(hearing(both()...), wiring.Heard{Deaf: true})
	if v.Answer != risk.OK || good.Deaf || good.Topic != topicID || len(good.By) != 2 || !good.At.Equal(now) {
		t.Fatalf("%s %+v", v.Why, good)
	}
	for name, c := range map[string]struct {
		change func(*wiring.Hearing)
		want   risk.Answer
		says   string
	}{
		"no topic": {func(h *wiring.Hearing) {
			h.Topic, h.Heard = wiring.NotThere[wiring.SystemTopic]("c", now, "none"), wiring.Fact[[]wiring.EventSubscription]{}
		}, risk.Broken, "it has no system topic"},
		"a topic that failed": {func(h *wiring.Hearing) { h.Topic.Value.State = "Failed" }, risk.Broken, "in state Failed; until 2026-11-01T12:00:00Z its events led to us"},
		"nothing leads to us": {func(h *wiring.Hearing) { h.Heard.Value = nil }, risk.Broken, "; until 2026-11-01"},
		"the topic is unread": {func(h *wiring.Hearing) { h.Topic = wiring.Failed[wiring.SystemTopic]("c", now, "HTTP 403") }, risk.Unknown, "HTTP 403"},
		"the list is unread": {func(h *wiring.Hearing) {
			h.Heard = wiring.Failed[[]wiring.EventSubscription]("c", now, "HTTP 429")
		}, risk.Unknown, "HTTP 429"},
		"the list is gone": {func(h *wiring.Hearing) {
			h.Heard = wiring.NotThere[[]wiring.EventSubscription]("c", now, "HTTP 404")
		}, risk.Unknown, "HTTP 404"},
		"a topic that is made": {func(h *wiring.Hearing) { h.Topic.Value.State = "Updating" }, risk.Unknown, "about to work"},
	} {
		h := hearing(both()...)
		c.change(&h)
		v, next := judgeEvents(h, good)
		if v.Answer != c.want || !strings.Contains(v.Why, c.says) {
			t.Errorf("%s: %s %s", name, v.Answer, v.Why)
		}
		if !next.Deaf || next.Topic != good.Topic || !slices.Equal(next.By, good.By) || !next.At.Equal(good.At) {
			t.Errorf("%s: %+v is remembered", name, next)
		}
	}
}

// About to work for an hour is not about to work.
func TestWhatDoesNotSettleIsDeaf(t *testing.T) {
	t.Parallel()
	list := both()
	list[0].State = "Updating"
	var before wiring.Heard
	for after, want := range map[time.Duration]risk.Answer{0: risk.Unknown, 59 * time.Minute: risk.Unknown, time.Hour: risk.Broken} {
		if after > 0 {
			before.Unsettled = now.Add(-after)
		}
		v, next := judgeEvents(hearing(list...), before)
		if v.Answer != want || next.Unsettled.IsZero() || want == risk.Broken && !strings.Contains(v.Why, "about to work since") {
			t.Errorf("after %s: %s %s", after, v.Answer, v.Why)
		}
		before = wiring.Heard{}
	}
	list[0].State = "Failed" // another fault: it does not wait any more
	if _, next := judgeEvents(hearing(list...), wiring.Heard{Unsettled: now.Add(-time.Minute)}); !next.Unsettled.IsZero() {
		t.Error("it is still counted as about to work")
	}
}

package posture_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

const topicID = rg + "/providers/Microsoft.EventGrid/systemTopics/t"

func TestEventSubscriptionsOfBothDeliveries(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, answer(200, `{"value":[
		{"id":"/s/a","properties":{"provisioningState":"Succeeded","destination":{"endpointType":"WebHook","properties":{"endpointBaseUrl":"https://h.example/x"}},"filter":{"includedEventTypes":["Microsoft.KeyVault.KeyNearExpiry"]}}},
		{"id":"/s/b","properties":{"provisioningState":"AwaitingManualAction","deliveryWithResourceIdentity":{"identity":{"type":"UserAssigned","userAssignedIdentity":"/Subscriptions/S/Id"},"destination":{"endpointType":"StorageQueue","properties":{"resourceId":"/q","queueName":"n"}}},
			"expirationTimeUtc":"2026-12-01T01:00:00+01:00","filter":{"subjectBeginsWith":"/a","subjectEndsWith":"b","isSubjectCaseSensitive":false,"includedEventTypes":null,"advancedFilters":[
				{"operatorType":"StringIn","key":"data.operationName","values":["x","y"]},{"operatorType":"NumberGreaterThan","key":"data.n","value":3},{"operatorType":"IsNotNull","key":"data.m"}]}}}]}`))
	want := []wiring.EventSubscription{
		{ID: "/s/a", State: "Succeeded", Kind: "WebHook", To: "https://h.example/x", Types: []string{"Microsoft.KeyVault.KeyNearExpiry"}},
		{ID: "/s/b", State: "AwaitingManualAction", Kind: "StorageQueue", To: "/q", Queue: "n", As: "/subscriptions/s/id", Expires: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Filters: []wiring.EventFilter{
			{Operator: "StringBeginsWith", Key: "subject", Values: []string{"/a"}}, {Operator: "StringEndsWith", Key: "subject", Values: []string{"b"}},
			{Operator: "StringIn", Key: "data.operationName", Values: []string{"x", "y"}}, {Operator: "NumberGreaterThan", Key: "data.n", Values: []string{"3"}}, {Operator: "IsNotNull", Key: "data.m"},
		}},
	}
	if diff := cmp.Diff(want, c.EventSubscriptions(context.Background(), azureid.MustResource(topicID)).Value); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTopicsAndTheirSubscriptionsByThemselves(t *testing.T) {
	t.Parallel()
	const topic = `{"id":"` + topicID + `","identity":{"type":"SystemAssigned, UserAssigned","userAssignedIdentities":{"/Subscriptions/S/Id":{"clientId":"c"}}},"properties":{"source":"/subscriptions/` + sub + `","topicType":"Microsoft.Resources.Subscriptions","provisioningState":"Failed"}}`
	c, a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body := topic
		switch r.URL.Path {
		case "/subscriptions/" + sub + "/providers/Microsoft.EventGrid/systemTopics":
			body = `{"value":[` + topic + `]}`
		case topicID + "/eventSubscriptions/e":
			body = `{"id":"` + topicID + `/eventSubscriptions/e","properties":{"provisioningState":"Succeeded"}}`
		case topicID + "/eventSubscriptions/gone":
			azuretest.JSON(w, 404, `{"error":{"code":"ResourceNotFound","message":"x"}}`)
			return
		case topicID + "/eventSubscriptions/odd":
			body = `{}`
		}
		azuretest.JSON(w, 200, body)
	})
	ctx := context.Background()
	id := azureid.MustResource(topicID)
	want := wiring.SystemTopic{ID: id, Source: "/subscriptions/" + sub, State: "Failed", Identities: []string{"/subscriptions/s/id", wiring.SystemAssigned}}
	same := cmp.Comparer(func(a, b azureid.Resource) bool { return a.Equal(b) })
	if one := c.Topic(ctx, id); !one.OK() || !cmp.Equal(want, one.Value, same) {
		t.Errorf("%+v", one)
	}
	if all := c.Topics(ctx, sub); !all.OK() || len(all.Value) != 1 || !cmp.Equal(want, all.Value[0], same) {
		t.Errorf("%+v", all)
	}
	for name, state := range map[string]wiring.State{"e": wiring.Known, "gone": wiring.Absent, "odd": wiring.Unreadable} {
		if f := c.EventSubscription(ctx, azureid.MustResource(topicID+"/eventSubscriptions/"+name)); f.State != state {
			t.Errorf("%s: %+v", name, f)
		}
	}
	for _, call := range a.Calls() {
		if call.Query != "api-version=2025-02-15" {
			t.Errorf("%s?%s", call.Path, call.Query)
		}
	}
}

package ears

import (
	"context"
	"encoding/json"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// eventVersion is the API version of Microsoft.EventGrid that is spoken.
const eventVersion = "2025-02-15"

// Topic reads a system topic.
func (c *Client) Topic(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.SystemTopic] {
	f := c.properties(ctx, id.String(), eventVersion)
	out := wiring.Fact[wiring.SystemTopic]{State: f.State, Call: f.Call, At: f.At, Why: f.Why}
	out.Value.Source, _ = f.Value["source"].(string)
	out.Value.State, _ = f.Value["provisioningState"].(string)
	return out
}

// MakeTopic makes the system topic of a vault (System Topics - Create Or Update;
// action Microsoft.EventGrid/systemTopics/write). identity delivers to queues and
// dead letters; "" for none.
func (c *Client) MakeTopic(ctx context.Context, id azureid.Resource, source, location, identity, requestID string) error {
	body := armresources.GenericResource{Location: &location, Properties: map[string]any{"source": source, "topicType": "Microsoft.KeyVault.vaults"}}
	if identity != "" {
		typ := armresources.ResourceIdentityTypeUserAssigned
		body.Identity = &armresources.Identity{Type: &typ, UserAssignedIdentities: map[string]*armresources.IdentityUserAssignedIdentitiesValue{identity: {}}}
	}
	return c.put(ctx, id.String(), eventVersion, body, requestID)
}

// Subscription reads an event subscription of a system topic.
func (c *Client) Subscription(ctx context.Context, topic azureid.Resource, name string) wiring.Fact[wiring.EventSubscription] {
	f := c.properties(ctx, subscriptionID(topic, name), eventVersion)
	out := wiring.Fact[wiring.EventSubscription]{State: f.State, Call: f.Call, At: f.At, Why: f.Why}
	if !f.OK() {
		return out
	}
	var p struct {
		State    string `json:"provisioningState"`
		To       target `json:"destination"`
		Delivery struct {
			To target `json:"destination"`
		} `json:"deliveryWithResourceIdentity"`
		Filter struct {
			Types []string `json:"includedEventTypes"`
		} `json:"filter"`
		Expires time.Time `json:"expirationTimeUtc"`
	}
	raw, err := json.Marshal(f.Value)
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil {
		return wiring.Failed[wiring.EventSubscription](f.Call, f.At, err.Error())
	}
	to := p.To
	if to.Kind == "" {
		to = p.Delivery.To
	}
	out.Value = wiring.EventSubscription{ID: subscriptionID(topic, name), State: p.State, Types: p.Filter.Types, Kind: to.Kind, To: to.Properties.ID, Expires: p.Expires}
	return out
}

type target struct {
	Kind       string `json:"endpointType"`
	Properties struct {
		ID string `json:"resourceId"`
	} `json:"properties"`
}

// Subscribe puts an event subscription of a system topic in place, with these
// properties (System Topic Event Subscriptions - Create Or Update; action
// Microsoft.EventGrid/systemTopics/eventSubscriptions/write).
func (c *Client) Subscribe(ctx context.Context, topic azureid.Resource, name, properties, requestID string) error {
	var props map[string]any
	if err := json.Unmarshal([]byte(properties), &props); err != nil {
		return fault.New(fault.Invalid, "ears.Subscribe", "the properties of %s are not JSON: %w", name, err)
	}
	return c.put(ctx, subscriptionID(topic, name), eventVersion, armresources.GenericResource{Properties: props}, requestID)
}

func subscriptionID(topic azureid.Resource, name string) string {
	return topic.String() + "/eventSubscriptions/" + name
}

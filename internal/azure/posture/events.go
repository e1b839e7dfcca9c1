package posture

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// subscribed is an event subscription of API version 2025-02-15 (azure-rest-api-specs,
// eventgrid EventSubscriptionProperties), as far as it says whether events reach us.
type subscribed struct {
	ID         string `json:"id"`
	Properties struct {
		State    string `json:"provisioningState"`
		Delivery struct {
			To destination `json:"destination"`
			As struct {
				Type string `json:"type"`
				ID   string `json:"userAssignedIdentity"`
			} `json:"identity"`
		} `json:"deliveryWithResourceIdentity"`
		To      destination `json:"destination"`
		Filter  filter      `json:"filter"`
		Expires *time.Time  `json:"expirationTimeUtc"`
	} `json:"properties"`
}

type destination struct {
	Kind       string `json:"endpointType"`
	Properties struct {
		ID    string `json:"resourceId"`
		URL   string `json:"endpointBaseUrl"`
		Queue string `json:"queueName"`
	} `json:"properties"`
}

type filter struct {
	Types    []string `json:"includedEventTypes"`
	Begins   string   `json:"subjectBeginsWith"`
	Ends     string   `json:"subjectEndsWith"`
	Advanced []struct {
		Operator string `json:"operatorType"`
		Key      string `json:"key"`
		Value    any    `json:"value"`
		Values   []any  `json:"values"`
	} `json:"advancedFilters"`
}

func (s subscribed) fact() wiring.EventSubscription {
	p := s.Properties
	to, as := p.To, ""
	if to.Kind == "" {
		to, as = p.Delivery.To, strings.ToLower(first(p.Delivery.As.ID, p.Delivery.As.Type))
	}
	out := wiring.EventSubscription{
		ID: s.ID, State: p.State, Types: p.Filter.Types, Filters: p.Filter.conditions(),
		Kind: to.Kind, To: first(to.Properties.ID, to.Properties.URL), Queue: to.Properties.Queue, As: as,
	}
	if p.Expires != nil {
		out.Expires = p.Expires.UTC()
	}
	return out
}

// conditions are all that the filter asks beside the types, in one form.
func (f filter) conditions() (out []wiring.EventFilter) {
	if f.Begins != "" {
		out = append(out, wiring.EventFilter{Operator: "StringBeginsWith", Key: "subject", Values: []string{f.Begins}})
	}
	if f.Ends != "" {
		out = append(out, wiring.EventFilter{Operator: "StringEndsWith", Key: "subject", Values: []string{f.Ends}})
	}
	for _, a := range f.Advanced {
		c := wiring.EventFilter{Operator: a.Operator, Key: a.Key}
		if a.Value != nil {
			a.Values = append(a.Values, a.Value)
		}
		for _, v := range a.Values {
			c.Values = append(c.Values, fmt.Sprint(v))
		}
		out = append(out, c)
	}
	return out
}

// EventSubscriptions lists the subscriptions of a system topic.
func (c *Client) EventSubscriptions(ctx context.Context, topic azureid.Resource) wiring.Fact[[]wiring.EventSubscription] {
	path := topic.String() + "/eventSubscriptions" + eventAPI
	return read(c, path, func() ([]wiring.EventSubscription, error) {
		rows, err := list[subscribed](ctx, c, path)
		out := make([]wiring.EventSubscription, 0, len(rows))
		for _, r := range rows {
			out = append(out, r.fact())
		}
		return out, err
	})
}

// EventSubscription reads one subscription of a system topic by its id.
func (c *Client) EventSubscription(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.EventSubscription] {
	path := id.String() + eventAPI
	return read(c, path, func() (wiring.EventSubscription, error) {
		var one subscribed
		err := c.get(ctx, path, &one)
		if err == nil && one.ID == "" {
			err = fault.New(fault.Invalid, "posture.EventSubscription", "the answer is no event subscription")
		}
		return one.fact(), err
	})
}

// topic is a Microsoft.EventGrid/systemTopics resource.
type topic struct {
	ID       string `json:"id"`
	Identity struct {
		Type  string         `json:"type"` // also both, with a comma between
		Users map[string]any `json:"userAssignedIdentities"`
	} `json:"identity"`
	Properties struct {
		Source string `json:"source"`
		State  string `json:"provisioningState"`
	} `json:"properties"`
}

func (t topic) fact() (wiring.SystemTopic, error) {
	id, err := azureid.ParseResource(t.ID)
	out := wiring.SystemTopic{ID: id, Source: t.Properties.Source, State: t.Properties.State}
	for user := range t.Identity.Users {
		out.Identities = append(out.Identities, strings.ToLower(user))
	}
	if strings.Contains(strings.ToLower(t.Identity.Type), wiring.SystemAssigned) {
		out.Identities = append(out.Identities, wiring.SystemAssigned)
	}
	slices.Sort(out.Identities)
	return out, err
}

// Topic reads a system topic.
func (c *Client) Topic(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.SystemTopic] {
	path := id.String() + eventAPI
	return read(c, path, func() (wiring.SystemTopic, error) {
		var t topic
		if err := c.get(ctx, path, &t); err != nil {
			return wiring.SystemTopic{}, err
		}
		return t.fact()
	})
}

// Topics lists the system topics of a subscription, by Resource Manager itself and not
// by Resource Graph (System Topics - List By Subscription).
func (c *Client) Topics(ctx context.Context, subscription string) wiring.Fact[[]wiring.SystemTopic] {
	path := "/subscriptions/" + subscription + "/providers/Microsoft.EventGrid/systemTopics" + eventAPI
	return read(c, path, func() ([]wiring.SystemTopic, error) {
		rows, err := list[topic](ctx, c, path)
		out := make([]wiring.SystemTopic, 0, len(rows))
		for _, r := range rows {
			t, err := r.fact()
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		}
		return out, err
	})
}

package guard

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// Listening reads what would tell us of whole subscriptions.
type Listening interface {
	// Hearing reads the subscription's system topic and what is taken of it; known is
	// how it was heard before.
	Hearing(ctx context.Context, subscription string, known wiring.Heard) wiring.Hearing
}

func heardRow(subscription string) string {
	return store.Name("heard", strings.ToLower(subscription))
}

// judgeHearings judges, for each watched subscription, whether its events reach us.
func (g *Guard) judgeHearings(ctx context.Context, run Survey) ([]risk.Verdict, error) {
	var out []risk.Verdict
	for _, s := range g.Watch.Subscriptions {
		if why := unheard(g.Policy.Declared.Resources, s); why != "" {
			if err := g.unasked(ctx, self.Events, self.Watched(s), why); err != nil {
				return nil, err
			}
			continue
		}
		v, err := g.judgeHearing(ctx, run, s)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// unheard is why the policy does not ask it of the subscription; "" if it does.
func unheard(d policy.ResourceEvents, subscription string) string {
	switch {
	case !d.Set():
		return "the policy does not say where events of subscriptions lead: set resourceEvents"
	case !d.Asks(subscription):
		return "resourceEvents.subscriptions of the policy does not list it"
	}
	return ""
}

func (g *Guard) judgeHearing(ctx context.Context, run Survey, subscription string) (risk.Verdict, error) {
	before, etag, err := g.heard(ctx, subscription)
	if err != nil {
		return risk.Verdict{}, err
	}
	v, next := self.JudgeEvents(run.Hearing(ctx, subscription, before), earsOf(g.Policy.Declared.Resources), before, g.Now())
	_, err = g.State.Apply(ctx, selfPartition, []store.Op{putOp(heardRow(subscription), encode(next), etag)})
	if fault.Is(err, fault.Conflict) {
		err = nil // another look at the same time noted it
	}
	return v, asRecordError(err)
}

// heard is how the subscription was heard before; a damaged row is written anew.
func (g *Guard) heard(ctx context.Context, subscription string) (before wiring.Heard, etag string, err error) {
	row, ok, err := g.get(ctx, selfPartition, heardRow(subscription))
	if err != nil {
		return before, "", err
	}
	if ok && json.Unmarshal(row.Value, &before) != nil {
		before = wiring.Heard{}
	}
	return before, row.ETag, nil
}

func earsOf(d policy.ResourceEvents) (out []self.Ear) {
	if d.Function != "" {
		out = append(out, self.Ear{ID: d.Function})
	}
	if d.Queue != "" {
		out = append(out, self.Ear{ID: d.Account, Queue: d.Queue})
	}
	return out
}

// judgeAgain adds to the picture, where the signal is about the ears of a watched
// subscription, whether its events still reach us, or do again. Of other topics, which
// belong to whomever, nothing is read unless we are deaf: ours may be the new one.
func (g *Guard) judgeAgain(ctx context.Context, p *picture) error {
	topic, ok := topicOf(p.signal)
	if !ok || !g.Watch.Beats || !g.Policy.Declared.Resources.Asks(topic.Subscription()) ||
		!slices.ContainsFunc(g.Watch.Subscriptions, func(s string) bool { return strings.EqualFold(s, topic.Subscription()) }) {
		return nil
	}
	before, _, err := g.heard(ctx, topic.Subscription())
	if err != nil {
		return err
	}
	if known := before.Topic != "" && !before.Deaf; known && !strings.EqualFold(before.Topic, topic.String()) {
		return nil
	}
	v, err := g.judgeHearing(ctx, p.run, topic.Subscription())
	if err != nil {
		return err
	}
	if v.Answer == risk.Unknown { // a new one is about to work for some seconds
		p.muffled = "what is told of subscription " + topic.Subscription()
	}
	p.add(v)
	return nil
}

// topicOf is the system topic that a signal about ears names.
func topicOf(s event.Signal) (azureid.Resource, bool) {
	if !aboutEars(s.Kind) {
		return azureid.Resource{}, false
	}
	text := s.Resource.String()
	if at := strings.Index(s.Resource.Key(), "/eventsubscriptions/"); at >= 0 {
		text = text[:at]
	}
	topic, err := azureid.ParseResource(text)
	return topic, err == nil && topic.Type() == "microsoft.eventgrid/systemtopics"
}

// deafCommands are what can be pasted about a subscription whose events do not reach
// us: a look, and the deployment that made what is gone.
func (g *Guard) deafCommands(v risk.Verdict) []alert.Command {
	id, err := azureid.ParseResource(v.Subject.ID)
	if err != nil {
		return nil
	}
	out := []alert.Command{{
		Does: "lists the subscription's system topics", Line: "az eventgrid system-topic list --subscription " + shell(id.Subscription()) + " --output table",
	}}
	home := g.Policy.Declared.Resources.Function
	if home == "" {
		home = g.Policy.Declared.Resources.Account
	}
	if r, err := azureid.ParseResource(home); err == nil && v.Answer == risk.Broken {
		out = append(out, alert.Command{
			Does: "makes the topic and its event subscriptions again, with the parameters that you deployed by",
			Line: "az deployment group create --subscription " + shell(r.Subscription()) + " --resource-group " + shell(r.ResourceGroup()) + " --parameters infra/main.bicepparam --parameters connectEvents=true",
		})
	}
	return out
}

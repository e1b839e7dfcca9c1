// Package recreateevents has a vault's events lead to us again, once, by
// the Event Grid subscription that the policy file declares; the vault's system
// topic is made first where it is missing. Ceiling: auto. No other subscription and
// no other topic is touched. After a vault was recovered both are gone.
//
// Least privilege of the caller: Microsoft.EventGrid/systemTopics/read and /write,
// systemTopics/eventSubscriptions/read and /write in the vault's resource group;
// write access to the destination, which Event Grid asks for
// (Microsoft.Web/sites/functions/write or Microsoft.Storage/storageAccounts/write,
// learn.microsoft.com event-grid/security-authorization); and
// Microsoft.ManagedIdentity/userAssignedIdentities/assign/action on the delivering
// identity. IRREVERSIBLE by us: removing either is its owner's.
//
// Runbook: the activity log (Microsoft.EventGrid/systemTopics/eventSubscriptions/delete)
// says who removed it. Azure refuses a second system topic of a vault: name the one
// that is there in the policy. Events of before are not sent again.
package recreateevents

import (
	"context"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Events reads and writes system topics and their subscriptions.
type Events interface {
	Topics
	Subscription(ctx context.Context, topic azureid.Resource, name string) wiring.Fact[wiring.EventSubscription]
	Subscribe(ctx context.Context, topic azureid.Resource, name, properties, requestID string) error
}

// Topics reads and makes system topics.
type Topics interface {
	Topic(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.SystemTopic]
	MakeTopic(ctx context.Context, id azureid.Resource, source, location, identity, requestID string) error
}

// Topic returns the making of the vault's system topic that the plan names.
func Topic(t Topics, p plan.Plan, partition string) (remedy.Effect, error) {
	step := p.Steps[0]
	id, err := azureid.ParseResource(step.Target)
	if err != nil {
		return remedy.Effect{}, err
	}
	source := step.Args["source"]
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "make the system topic "+id.Name())
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		f := t.Topic(ctx, id)
		switch v := f.Value; {
		case f.State == wiring.Absent:
			return remedy.Sight{}, nil
		case !f.OK():
			return remedy.Sight{}, fault.New(fault.Transient, "recreateevents.topic", "%s: %s", id.Name(), f.Why)
		case !strings.EqualFold(v.Source, source):
			return remedy.Sight{Stop: "the topic is of " + v.Source}, nil
		case strings.EqualFold(v.State, "Succeeded"):
			return remedy.Sight{Done: true, Result: "there"}, nil
		case strings.EqualFold(v.State, "Failed") || strings.EqualFold(v.State, "Canceled"):
			return remedy.Sight{}, nil
		default:
			return remedy.Sight{Busy: "the topic is " + v.State}, nil
		}
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", t.MakeTopic(ctx, id, source, step.Args["location"], step.Args["identity"], requestID)
	}
	return e, nil
}

// Effect returns the subscription that the plan names.
func Effect(ev Events, p plan.Plan, partition string) (remedy.Effect, error) {
	step := p.Steps[0]
	topic, name, to, ok := plan.SubscriptionOf(step)
	if !ok {
		return remedy.Effect{}, fault.New(fault.Invalid, "recreateevents.Effect", "%q is no event subscription", step.Target)
	}
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "lead the events of topic "+topic.Name()+" to "+to)
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		f := ev.Subscription(ctx, topic, name)
		switch v := f.Value; {
		case f.State == wiring.Absent:
			return remedy.Sight{}, nil
		case !f.OK():
			return remedy.Sight{}, fault.New(fault.Transient, "recreateevents.look", "%s: %s", topic.Name(), f.Why)
		case strings.EqualFold(v.State, "Creating") || strings.EqualFold(v.State, "Updating") || strings.EqualFold(v.State, "Deleting"):
			return remedy.Sight{Busy: "the event subscription is " + v.State}, nil
		case strings.EqualFold(v.State, "Succeeded") && strings.EqualFold(v.To, to) && delivers(v.Types) && v.Expires.IsZero(): // ours never expires
			return remedy.Sight{Done: true, Result: "event subscription " + name}, nil
		}
		return remedy.Sight{}, nil
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", ev.Subscribe(ctx, topic, name, step.Args["properties"], requestID)
	}
	return e, nil
}

// delivers reports whether the types hold all that we work from; none are all.
func delivers(types []string) bool {
	if len(types) == 0 {
		return true
	}
	for _, want := range plan.EventTypes() {
		if !slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(t, want) }) {
			return false
		}
	}
	return true
}

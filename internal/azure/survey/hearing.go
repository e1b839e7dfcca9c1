package survey

import (
	"context"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// Topics reads system topics by Resource Manager.
type Topics interface {
	Topic(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.SystemTopic]
	Topics(ctx context.Context, subscription string) wiring.Fact[[]wiring.SystemTopic]
	EventSubscription(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.EventSubscription]
}

const topicRead = "Microsoft.EventGrid/systemTopics/read"

// Hearing reads what would tell us of a subscription's resources; known is how it was
// heard before. It costs the list of system topics, once in a run, and two calls; what
// the lists do not show is asked for by itself, by one call for each thing that was
// there before, and by the list of Resource Manager.
func (r *Run) Hearing(ctx context.Context, subscription string, known wiring.Heard) wiring.Hearing {
	h := wiring.Hearing{Subscription: subscription}
	if r.src.Around == nil {
		h.Topic = wiring.Failed[wiring.SystemTopic]("arm GET systemTopics", r.now(), "this survey reads no topics")
		return h
	}
	if h.Topic = r.topicOf(ctx, subscription, known); !h.Topic.OK() {
		return h
	}
	h.Heard = r.src.Around.Parts.EventSubscriptions(ctx, h.TopicID())
	if h.Heard.OK() {
		h.Heard = r.unlisted(ctx, h, known)
	}
	return h
}

// topicOf finds the subscription's system topic, of which there is one at most: by
// Resource Graph, where it was before, by Resource Manager. A row that is there is
// read; only where none of the three shows one is there none.
func (r *Run) topicOf(ctx context.Context, subscription string, known wiring.Heard) wiring.Fact[wiring.SystemTopic] {
	rows := r.topicRows(ctx)
	where := []azureid.Resource{rows.of["/subscriptions/"+strings.ToLower(subscription)]}
	if id, bad := azureid.ParseResource(known.Topic); bad == nil && !id.Equal(where[0]) {
		where = append(where, id)
	}
	why := rows.why
	for _, id := range where {
		if id.IsZero() {
			continue
		}
		f := r.src.Around.Topics.Topic(ctx, id)
		switch {
		case f.OK() && hears(f.Value, subscription):
			return f
		case f.State == wiring.Unreadable:
			why = f.Why
		}
	}
	return r.topicByManager(ctx, subscription, why)
}

// topicRows are the system topics that Resource Graph shows, by their sources.
type topicRows struct {
	of  map[string]azureid.Resource
	why string // they could not be read
}

func (r *Run) topicRows(ctx context.Context) topicRows {
	return r.around.rows.once("", func() topicRows {
		of, err := r.src.Around.Lists.Topics(ctx, r.subscriptions)
		if err != nil {
			return topicRows{why: err.Error()}
		}
		return topicRows{of: of}
	})
}

func hears(t wiring.SystemTopic, subscription string) bool {
	return strings.EqualFold(strings.TrimRight(t.Source, "/"), "/subscriptions/"+subscription)
}

// topicByManager is the last way to look; why is what another way could not read.
func (r *Run) topicByManager(ctx context.Context, subscription, why string) wiring.Fact[wiring.SystemTopic] {
	all := r.src.Around.Topics.Topics(ctx, subscription)
	if all.OK() {
		for _, t := range all.Value {
			if hears(t, subscription) {
				return wiring.Read(t, all.Call, all.At)
			}
		}
	}
	failed := func(why string) wiring.Fact[wiring.SystemTopic] {
		return wiring.Failed[wiring.SystemTopic](all.Call, all.At, why)
	}
	switch lack := r.lacks(ctx, subscription, topicRead); {
	case !all.OK():
		return failed(all.Why)
	case why != "":
		return failed(why)
	case lack != "":
		return failed("topics may be hidden from us: " + lack)
	}
	return wiring.NotThere[wiring.SystemTopic](all.Call, all.At, "none of the subscription's system topics has it as its source")
}

// unlisted adds what was there before and the list does not show, if it is there.
func (r *Run) unlisted(ctx context.Context, h wiring.Hearing, known wiring.Heard) wiring.Fact[[]wiring.EventSubscription] {
	list := h.Heard
	for _, before := range known.By {
		id, err := azureid.ParseResource(before)
		shown := slices.ContainsFunc(list.Value, func(e wiring.EventSubscription) bool { return strings.EqualFold(e.ID, before) })
		if err != nil || shown || !strings.HasPrefix(id.Key(), h.TopicID().Key()+"/") {
			continue
		}
		switch one := r.src.Around.Topics.EventSubscription(ctx, id); one.State {
		case wiring.Known:
			list.Value = append(list.Value, one.Value)
		case wiring.Absent:
		default:
			return wiring.Failed[[]wiring.EventSubscription](one.Call, one.At, one.Why)
		}
	}
	return list
}

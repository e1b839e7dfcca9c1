package self

import (
	"slices"
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

// passing is whether an event comes through.
type passing int

const (
	no passing = iota
	perhaps
	yes
)

// missing lists the operations that none of the event subscriptions lets through. Where
// that hangs on a key of whose values nothing is known, maybe is that key and by the
// event subscription that asks for it.
func missing(list []wiring.EventSubscription, subscription string) (left []string, maybe, by string) {
	for _, o := range event.Relied() {
		best, key, who := no, "", ""
		for _, s := range list {
			p, k := through(s, o, subscription)
			if p > best {
				best, key, who = p, k, last(s.ID)
			}
		}
		switch {
		case best == no:
			left = append(left, o.Operation)
		case best == perhaps && maybe == "":
			maybe, by = key, who
		}
	}
	return left, maybe, by
}

// through reports whether the event subscription lets it through, and if that cannot be
// told, by which key of its filter.
func through(s wiring.EventSubscription, o event.Occurrence, subscription string) (passing, string) {
	if len(s.Types) > 0 && !slices.ContainsFunc(s.Types, func(t string) bool { return strings.EqualFold(t, o.Type) || strings.EqualFold(t, "All") }) {
		return no, ""
	}
	worst, key := yes, ""
	for _, f := range s.Filters {
		if p := passes(f, o, subscription); p < worst {
			worst, key = p, f.Key
		}
	}
	return worst, key
}

// passes judges one filter by what is known of such an event: learn.microsoft.com
// event-grid/event-filtering, event-schema-subscriptions. Texts are compared without
// case.
func passes(f wiring.EventFilter, o event.Occurrence, subscription string) passing {
	value, known := "", true
	switch strings.ToLower(f.Key) {
	case "data.operationname":
		value = o.Operation
	case "eventtype", "type":
		value = o.Type
	case "data.status":
		value = "Succeeded"
	case "data.subscriptionid":
		value = subscription
	case "topic", "source":
		value = "/subscriptions/" + subscription
	case "data.resourceprovider":
		value, _, _ = strings.Cut(o.Operation, "/")
	case "subject", "data.resourceuri":
		return ofAll(f, subscription)
	default:
		known = false
	}
	if !known {
		return perhaps
	}
	return compare(f, value)
}

// ofAll judges a filter on the resource, which is any of the subscription's: one that
// asks for more than the subscription leaves some out.
func ofAll(f wiring.EventFilter, subscription string) passing {
	every := "/subscriptions/" + strings.ToLower(subscription) + "/"
	switch op := strings.ToLower(f.Operator); {
	case op == "isnotnull":
		return yes
	case strings.HasPrefix(op, "stringnot"):
		return perhaps
	case op == "stringbeginswith" && slices.ContainsFunc(f.Values, func(v string) bool { return strings.HasPrefix(every, strings.ToLower(v)) }):
		return yes
	}
	return no
}

func compare(f wiring.EventFilter, value string) passing {
	op := strings.ToLower(f.Operator)
	switch op {
	case "isnotnull":
		return yes
	case "isnullorundefined":
		return no
	}
	how, not := strings.CutPrefix(op, "stringnot")
	if !not {
		how = strings.TrimPrefix(op, "string")
	}
	match, ok := map[string]func(s, part string) bool{
		"in": strings.EqualFold, "beginswith": strings.HasPrefix, "endswith": strings.HasSuffix, "contains": strings.Contains,
	}[how]
	if !ok {
		return perhaps // an operator of numbers, or one that is not known
	}
	hit := slices.ContainsFunc(f.Values, func(v string) bool { return match(strings.ToLower(value), strings.ToLower(v)) })
	if hit != not {
		return yes
	}
	return no
}

package event

import (
	"fmt"
	"strings"

	"cmkguard/internal/azureid"
)

// ParseResource reads what Event Grid delivers for a subscription's or a
// resource group's system topic, in either schema, one element or many: writes,
// deletes and actions on what a key's chain leads through. It never judges an
// element by its neighbours. Error as ParseKeyVault.
//
// The event holds no body of the resource, so a signal only names what to read.
// Its data may be partial or missing: the resource is then taken from the
// subject, and the operation from the resource's type and the event's.
func ParseResource(raw []byte, c azureid.Cloud) (Parsed, error) {
	return parseEach(raw, func(env envelope) (Signal, string) { return readResource(env, c) })
}

// ParseGrid reads events of every source that Event Grid delivers here: a queue
// or a topic may carry several, and one that came by the wrong door is still
// what it is. Error as ParseKeyVault.
func ParseGrid(raw []byte, c azureid.Cloud) (Parsed, error) {
	return parseEach(raw, func(env envelope) (Signal, string) {
		if verb, _ := verbOf(env.typ); verb != "" {
			return readResource(env, c)
		}
		return readKeyVault(env, c)
	})
}

// verbOf returns what a resource event's type says was done ("write", "delete",
// "action") and how it ended ("success", "failure", "cancel"); "" for the type
// of another source. Azure Resource Notifications tell of success only.
func verbOf(typ string) (verb, end string) {
	t := strings.ToLower(typ)
	switch t {
	case "microsoft.resourcenotifications.resources.createdorupdated":
		return "write", "success"
	case "microsoft.resourcenotifications.resources.deleted":
		return "delete", "success"
	}
	rest, ok := strings.CutPrefix(t, "microsoft.resources.resource")
	if !ok {
		return "", ""
	}
	for _, v := range []string{"write", "delete", "action"} {
		if end, ok := strings.CutPrefix(rest, v); ok {
			return v, end
		}
	}
	return "", ""
}

func readResource(env envelope, c azureid.Cloud) (Signal, string) {
	verb, end := verbOf(env.typ)
	if verb == "" && env.typ != "" {
		return Signal{}, fmt.Sprintf("%q is not an event type of a subscription", clip(env.typ))
	}
	data := env.quiet("data")
	id, r := resourceOf(env, data)
	name := operationName(data, verb, r)
	op, known := operationOf(name)
	switch {
	case env.typ == "": // reported already
		return Signal{}, ""
	case name == "":
		env.problem("data.operationName is missing, and neither data.resourceUri nor subject tells it: want Microsoft.Cache/redisEnterprise/write, say")
		return Signal{}, ""
	case !known:
		return Signal{}, fmt.Sprintf("operation %q touches no key's chain", clip(name))
	case end != "success" && !mayHaveChanged(op.kind, end):
		return Signal{}, fmt.Sprintf("operation %q ended in %s and changed nothing", clip(name), clip(end))
	case r.IsZero():
		env.problem("data.resourceUri %q is not a resource id, nor is the subject: want /subscriptions/S/resourceGroups/G/providers/P/T/NAME", clip(id))
		return Signal{}, ""
	}
	s := Signal{
		ID: env.id, Source: env.source, Type: env.typ, Kind: op.kind, Time: env.time, TraceParent: env.traceParent,
		Claim: &Claim{
			Source: "data.claims of " + clip(env.typ), Operation: clip(name),
			Actor: resourceActor(data), Correlation: data.loose("correlationId"),
		},
	}
	return s, op.place(&s, r, c)
}

// mayHaveChanged: a write to a cluster that failed or was cancelled can leave it
// half updated. Anything else that failed left things as they were.
func mayHaveChanged(k Kind, end string) bool {
	return k == ClusterWritten && (end == "failure" || end == "cancel")
}

// resourceOf returns the resource that the event is about: of the places where
// its id may stand, the first that holds one.
func resourceOf(env envelope, data object) (text string, r azureid.Resource) {
	for _, text := range []string{
		data.loose("resourceUri"), data.quiet("resourceInfo").loose("id"), env.loose("subject"), data.quiet("authorization").loose("scope"),
	} {
		if r, err := azureid.ParseResource(text); err == nil {
			return text, r
		}
	}
	return data.loose("resourceUri"), azureid.Resource{}
}

// operationName returns the name of what was done; "" if nothing tells it.
func operationName(data object, verb string, r azureid.Resource) string {
	if name := data.loose("operationName"); name != "" {
		return name
	}
	if name := data.quiet("authorization").loose("action"); name != "" {
		return name
	}
	if r.IsZero() || verb == "action" {
		return ""
	}
	return r.Type() + "/" + verb
}

// resourceActor reads who called. The caller's own right, which data.authorization
// holds, is not what changed and is not read.
func resourceActor(data object) Actor {
	a := actorOf(data.quiet("claims"))
	if a.Address == "" {
		a.Address = data.quiet("httpRequest").loose("clientIpAddress")
	}
	return a
}

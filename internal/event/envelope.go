package event

import (
	"encoding/json"
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

// Bounds on what of an event becomes part of stored rows. Event Grid's ids are
// GUIDs, and its sources resource ids of a few hundred bytes; what is longer could
// not be stored, and would be refused again and again.
const (
	maxID     = 512
	maxSource = 2048
)

// envelope is one element's outer attributes, whichever of the two schemas it
// came in.
type envelope struct {
	object
	id          string
	typ         string
	source      string // topic or source, as given
	sourceField string // which of the two it was
	time        time.Time
	traceParent string
}

// readEnvelope reads the attributes and reports to problems what is wrong with
// them. An element that is no object has no fields.
func readEnvelope(raw json.RawMessage, problems *[]string) envelope {
	env := envelope{object: newObject("", raw, problems), sourceField: "topic"}
	if env.fields == nil {
		return env
	}
	typeField, timeField := "eventType", "eventTime"
	if env.isCloudEvent() {
		env.sourceField, typeField, timeField = "source", "type", "time"
		env.checkSpecVersion()
	}
	env.id = env.required("id")
	env.typ = env.required(typeField)
	env.source = env.required(env.sourceField)
	env.time = env.timestamp(timeField)
	for _, f := range []struct {
		name, is string
		most     int
	}{{"id", env.id, maxID}, {typeField, env.typ, maxID}, {env.sourceField, env.source, maxSource}} {
		if len(f.is) > f.most {
			env.problem("%s has %d bytes: want at most %d", f.name, len(f.is), f.most)
		}
	}
	env.traceParent = env.trace()
	return env
}

// isCloudEvent tells the schemas apart by the one attribute that CloudEvents
// requires and Event Grid's own schema lacks; without it, by the name of the
// type, so that an element that has neither is told what to add.
func (e envelope) isCloudEvent() bool {
	if e.has("specversion") {
		return true
	}
	return !e.has("eventType") && e.has("type")
}

func (e envelope) checkSpecVersion() {
	if !e.has("specversion") {
		return
	}
	if v := e.required("specversion"); v != "" && !strings.HasPrefix(v, "1.") {
		e.problem("specversion %q: want \"1.0\"", clip(v))
	}
}

// vault returns the vault that the topic or source names; zero if it names none.
func (e envelope) vault() azureid.Resource {
	if e.source == "" {
		return azureid.Resource{}
	}
	r, err := azureid.ParseResource(e.source)
	if err != nil {
		e.problem("%s: %s; want /subscriptions/S/resourceGroups/G/providers/Microsoft.KeyVault/vaults/NAME", e.sourceField, reason(err))
		return azureid.Resource{}
	}
	if r.Type() != azureid.TypeVault || r.Subscription() == "" || r.ResourceGroup() == "" {
		e.problem("%s %q is not a vault: want /subscriptions/S/resourceGroups/G/providers/Microsoft.KeyVault/vaults/NAME",
			e.sourceField, clip(e.source))
		return azureid.Resource{}
	}
	return r
}

// trace returns the CloudEvents distributed-tracing attribute if it has W3C's
// form. Anything else is dropped without a word: it only joins logs, and it
// must not carry text of a stranger's choice into them.
func (e envelope) trace() string {
	var s string
	if json.Unmarshal(e.fields["traceparent"], &s) != nil {
		return ""
	}
	parts := strings.Split(s, "-")
	if len(parts) != 4 {
		return ""
	}
	for i, want := range []int{2, 32, 16, 2} {
		if len(parts[i]) != want || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return ""
		}
	}
	return s
}

package plan

import (
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/canonical"
	"cmkguard/internal/policy"
	"cmkguard/internal/wiring"
)

// Deaf reports whether the remedy gives us back what tells us of a vault. It touches
// no key and no cluster.
func Deaf(remedy string) bool { return remedy == RestoreDiagnostics || remedy == RecreateEvents }

func diagnosticsStep(f Facts, w wiring.Wiring) (Step, string) {
	d := f.Declared.Diagnostics
	switch {
	case !d.Set():
		return Step{}, "the policy does not say where the audit log is to be sent: set diagnostics"
	case !w.Vault.OK():
		return Step{}, "the vault was not read: " + w.Vault.Why
	}
	id := w.Vault.Value.ID.String()
	args := map[string]string{"name": d.Name}
	for name, v := range map[string]string{"workspace": d.Workspace, "eventHubRule": d.HubRule, "eventHub": d.Hub, "storage": d.Storage} {
		if v != "" {
			args[name] = v
		}
	}
	call := id + "/providers/Microsoft.Insights/diagnosticSettings/" + d.Name
	return Step{
		Target: id, From: "not sent", To: "AuditEvent to " + strings.Join(d.Destinations(), ", "), Args: args,
		Call:     "PUT " + call + " (what it holds, and AuditEvent)",
		ReadBack: "GET " + call + " shows AuditEvent enabled and each destination",
		Undo:     Irreversible + ": removing a log is its owner's",
	}, ""
}

// eventSteps give the vault its system topic, unless it is there, and the event
// subscription. Azure has one system topic per source and no more
// (learn.microsoft.com event-grid/system-topics).
func eventSteps(f Facts, w wiring.Wiring) ([]Step, string) {
	e := f.Declared.Events
	switch {
	case !e.Set():
		return nil, "the policy does not say where the vault's events are to lead: set eventSubscription"
	case !w.Vault.OK():
		return nil, "the vault was not read: " + w.Vault.Why
	}
	v := w.Vault.Value
	topic := e.TopicOf(v.ID)
	props, err := canonical.JSON(eventProperties(e))
	if err != nil {
		return nil, err.Error() // unreachable: plain values
	}
	args := map[string]string{"source": v.ID.String(), "location": v.Location}
	if e.Identity != "" {
		args["identity"] = e.Identity
	}
	id := topic.String() + "/eventSubscriptions/" + e.Name
	return []Step{{
		Kind: StepTopic, Target: topic.String(), From: "there or not", To: "there", Args: args,
		Call:     "PUT " + topic.String() + ", unless it is there",
		ReadBack: "GET " + topic.String() + " shows the vault as its source, with provisioningState Succeeded",
		Undo:     Irreversible + ": removing it is its owner's; without a subscription it does nothing",
	}, {
		Target: id, From: "missing, failing or leading elsewhere", To: destinationOf(e), Args: map[string]string{"properties": string(props)},
		Call:     "PUT " + id,
		ReadBack: "GET " + id + " shows the destination and the events, with provisioningState Succeeded",
		Undo:     Irreversible + ": removing it is its owner's",
	}}, ""
}

func destinationOf(e policy.Events) string {
	if e.Function != "" {
		return e.Function
	}
	return e.Account
}

// EventTypes are the events that this product works from (infra/vault.bicep).
func EventTypes() []string {
	const kv = "Microsoft.KeyVault."
	return []string{kv + "KeyNearExpiry", kv + "KeyExpired", kv + "KeyNewVersionCreated", kv + "VaultAccessPolicyChanged"}
}

// eventProperties are those of infra/vault.bicep: Event Grid calls a function with
// the function's own key, and needs an identity for queues and dead letters.
func eventProperties(e policy.Events) map[string]any {
	props := map[string]any{
		"eventDeliverySchema": "CloudEventSchemaV1_0",
		"filter":              map[string]any{"enableAdvancedFilteringOnArrays": true, "includedEventTypes": EventTypes()},
		"retryPolicy":         map[string]any{"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440},
	}
	identity := map[string]any{"type": "UserAssigned", "userAssignedIdentity": e.Identity}
	if e.Function != "" {
		props["destination"] = map[string]any{"endpointType": "AzureFunction", "properties": map[string]any{
			"resourceId": e.Function, "maxEventsPerBatch": 10, "preferredBatchSizeInKilobytes": 64}}
	} else {
		props["deliveryWithResourceIdentity"] = map[string]any{"identity": identity, "destination": map[string]any{
			"endpointType": "StorageQueue", "properties": map[string]any{"resourceId": e.Account, "queueName": e.Queue, "queueMessageTimeToLiveInSeconds": 604800}}}
	}
	if e.DeadStore != "" {
		props["deadLetterWithResourceIdentity"] = map[string]any{"identity": identity, "deadLetterDestination": map[string]any{
			"endpointType": "StorageBlob", "properties": map[string]any{"resourceId": e.DeadStore, "blobContainerName": e.DeadBox}}}
	}
	return props
}

// SubscriptionOf reads what the step wants of an event subscription.
func SubscriptionOf(s Step) (topic azureid.Resource, name, to string, ok bool) {
	at := strings.LastIndex(s.Target, "/eventSubscriptions/")
	if at < 0 {
		return topic, "", "", false
	}
	topic, err := azureid.ParseResource(s.Target[:at])
	return topic, s.Target[at+len("/eventSubscriptions/"):], s.To, err == nil
}

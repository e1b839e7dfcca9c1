// Package drill knows the exercises: each is one fault, laid over the live wiring of
// one real cluster as a pure function, and the event that would tell of it. What is
// not at fault stays as it was read, so that an exercise proves that reading works.
//
// It runs nothing and tells nobody (internal/guard does).
package drill

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/wiring"
)

// Scenario is one exercise.
type Scenario struct {
	Name  string
	About string // for people: what is played
	Check string // that must find it; "" for the test of the channels
	// Before: the cluster is seen as it was before the fault, too.
	Before bool
}

// The scenarios.
const (
	NearExpiry    = "near-expiry"
	KeyDeleted    = "key-deleted"
	AccessLost    = "access-lost"
	StrangerWrite = "stranger-write"
	ChannelTest   = "channel-test"
)

// Scenarios lists them in the order in which they are run.
func Scenarios() []Scenario {
	return []Scenario{
		{NearExpiry, "the key version in use expires in five days", "CMK-013", false},
		{KeyDeleted, "somebody deleted the key", "CMK-010", false},
		{AccessLost, "the cluster's identity lost its access to the key", "CMK-050", false},
		{StrangerWrite, "somebody pointed the cluster back to an older version", "CMK-067", true},
		{ChannelTest, "a message through every channel", "", false},
	}
}

// Find returns the scenario with the name.
func Find(name string) (Scenario, bool) {
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// expiresIn is how long the version that is played to expire has left.
const expiresIn = 5 * 24 * time.Hour

// Version is the newer version of the key that the exercise of a stranger's write
// makes up.
const Version = "d0000000000000000000000000000d11"

// Overlay lays the scenario's fault over a chain as it was read. What was not read
// stays not read. before is the chain before the fault.
func Overlay(w wiring.Wiring, scenario string, before bool, now time.Time) wiring.Wiring {
	switch scenario {
	case NearExpiry:
		at := now.Add(expiresIn).UTC()
		w.Versions.Value = slices.Clone(w.Versions.Value)
		for i, v := range w.Versions.Value {
			if v.Key.Equal(w.Key()) {
				w.Versions.Value[i].Expires = &at
			}
		}
	case KeyDeleted:
		if !w.Versions.OK() {
			return w
		}
		days := max(w.Vault.Value.RetentionDays, 7)
		w.Deleted = wiring.Read(wiring.DeletedKey{Key: w.Key().Base(), DeletedAt: now.UTC().Truncate(time.Second), PurgeAt: now.AddDate(0, 0, days).UTC()}, w.Deleted.Call, w.Deleted.At)
		w.Versions = wiring.NotThere[[]wiring.KeyVersion](w.Versions.Call, w.Versions.At, "an exercise: the key is deleted")
		w.InUse = wiring.NotThere[wiring.KeyBundle](w.InUse.Call, w.InUse.At, "an exercise: the key is deleted")
		w.Rotation = wiring.NotThere[wiring.RotationPolicy](w.Rotation.Call, w.Rotation.At, "an exercise: the key is deleted")
	case AccessLost:
		w.Assignments.Value = nil
		w.Vault.Value.Policies = slices.DeleteFunc(slices.Clone(w.Vault.Value.Policies), func(p wiring.AccessPolicy) bool {
			return strings.EqualFold(p.ObjectID, w.Identity.Value.PrincipalID)
		})
	case StrangerWrite:
		return stranger(w, before)
	}
	return w
}

// stranger adds a newer version; before the fault the cluster is on it.
func stranger(w wiring.Wiring, before bool) wiring.Wiring {
	used, ok := w.Version(w.Key())
	if !ok {
		return w
	}
	newest, _ := wiring.Newest(w.Versions.Value)
	newer := used
	newer.Key, newer.Created = used.Key.At(Version), newest.Created.Add(time.Minute)
	w.Versions.Value = append(slices.Clone(w.Versions.Value), newer)
	if before {
		cmk := *w.Cluster.Value.CMK
		cmk.Key, cmk.KeyURL = newer.Key, newer.Key.String()
		w.Cluster.Value.CMK = &cmk
		w.InUse.Value.Key = newer.Key
	}
	return w
}

// Signal is the event that tells of the fault, in the bytes of its source; log: it is a
// record of a vault's audit log.
func Signal(w wiring.Wiring, scenario, id string, now time.Time) (raw json.RawMessage, log bool) {
	k, at := w.Key(), now.UTC().Format(time.RFC3339Nano)
	vault := w.Vault.Value.ID.String()
	grid := func(topic, subject, typ string, data map[string]any) json.RawMessage {
		return encode(map[string]any{"id": id, "topic": topic, "subject": subject, "eventType": typ, "eventTime": at, "data": data, "dataVersion": "1", "metadataVersion": "1"})
	}
	switch scenario {
	case NearExpiry:
		return grid(vault, k.Name, "Microsoft.KeyVault.KeyNearExpiry", map[string]any{
			"Id": k.String(), "VaultName": w.Vault.Value.Name, "ObjectType": "Key", "ObjectName": k.Name, "Version": k.Version, "NBF": nil, "EXP": now.Add(expiresIn).Unix(),
		}), false
	case KeyDeleted:
		return encode(map[string]any{"records": []any{map[string]any{
			"time": now.UTC().Format("2006-01-02T15:04:05.0000000Z"), "category": "AuditEvent", "operationName": "KeyDelete", "resultType": "Success", "resultSignature": "OK",
			"correlationId": id, "resourceId": strings.ToUpper(vault), "operationVersion": "7.5",
			"properties": map[string]any{"id": k.Base().String(), "requestUri": k.Base().String(), "httpStatusCode": 200},
		}}}), true
	case AccessLost:
		return grid(vault, w.Vault.Value.Name, "Microsoft.KeyVault.VaultAccessPolicyChanged", map[string]any{
			"Id": k.VaultURL(), "VaultName": w.Vault.Value.Name, "ObjectType": "Vault", "ObjectName": w.Vault.Value.Name, "Version": "", "NBF": nil, "EXP": nil,
		}), false
	}
	cluster := w.ID.String()
	return grid("/subscriptions/"+w.ID.Subscription(), cluster, "Microsoft.Resources.ResourceWriteSuccess", map[string]any{
		"authorization": map[string]any{"scope": cluster, "action": "Microsoft.Cache/redisEnterprise/write"}, "operationName": "Microsoft.Cache/redisEnterprise/write",
		"resourceUri": cluster, "status": "Succeeded", "subscriptionId": w.ID.Subscription(), "correlationId": id,
	}), false
}

func encode(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil // unreachable: plain values
	}
	return raw
}

package azuresim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

// emission is what waits to be handed out once the world is unlocked.
type emission struct {
	audit bool
	raw   []byte
}

// handOut calls the listeners, in order and without the lock, so that they may
// use the world.
func (s *Sim) handOut() {
	s.mu.Lock()
	out := s.emissions
	s.emissions = nil
	s.mu.Unlock()
	for _, e := range out {
		switch {
		case e.audit && s.o.OnAudit != nil:
			s.o.OnAudit(e.raw)
		case !e.audit && s.o.OnEvent != nil:
			s.o.OnEvent(e.raw)
		}
	}
}

func (s *Sim) emit(audit bool, body map[string]any) {
	if audit && s.o.OnAudit == nil || !audit && s.o.OnEvent == nil {
		return
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return // unreachable: plain values
	}
	s.emissions = append(s.emissions, emission{audit, raw})
}

// emitKey is one of Key Vault's events about a version [D: event-schema-key-vault], and
// of an expiry the row that the log gets of it, whoever is subscribed [D: logging]. How
// that row looks is not documented.
func (s *Sim) emitKey(typ string, v *Vault, key *Key, ver *Version) {
	data := map[string]any{
		"Id": kid(v, key, ver), "VaultName": v.ID.Name(), "ObjectType": "Key", "ObjectName": key.Name, "Version": ver.ID,
		"NBF": epoch(ver.NotBefore), "EXP": epoch(ver.Expires),
	}
	s.emitEvent(v.ID.String(), key.Name, typ, data)
	if typ == "Microsoft.KeyVault.KeyNewVersionCreated" { // the call that made it is in the log
		return
	}
	if s.o.BareNotes {
		data = map[string]any{"ObjectName": key.Name, "EXP": epoch(ver.Expires)}
	}
	s.noted(strings.TrimPrefix(typ, "Microsoft.KeyVault."), v, key.Name, data)
}

// noted is the row of the log about an event of the vault.
func (s *Sim) noted(name string, v *Vault, subject string, data map[string]any) {
	row := map[string]any{
		"time": s.clock.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"), "category": "AuditEvent", "operationName": name + "EventGridNotification",
		"resultType": "Success", "correlationId": s.eventID(), "resourceId": strings.ToUpper(v.ID.String()),
	}
	props := map[string]any{"subject": subject, "data": data}
	if s.o.BareNotes {
		row["eventGridEventProperties"] = props
	} else {
		row["properties"] = map[string]any{"eventGridEventProperties": props}
	}
	s.emit(true, row)
}

func epoch(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.Unix()
}

func (s *Sim) emitEvent(topic, subject, typ string, data map[string]any) {
	id, at := s.eventID(), s.clock.Now().UTC().Format(time.RFC3339Nano)
	if s.o.CloudEvents {
		s.emit(false, map[string]any{"id": id, "source": topic, "subject": subject, "type": typ, "time": at, "specversion": "1.0", "data": data})
		return
	}
	s.emit(false, map[string]any{"id": id, "topic": topic, "subject": subject, "eventType": typ, "eventTime": at, "data": data, "dataVersion": "1", "metadataVersion": "1"})
}

func (s *Sim) eventID() string {
	s.emitted++
	return fmt.Sprintf("e0000000-0000-4000-8000-%012x", s.emitted)
}

// emitResource is a ResourceWriteSuccess or ResourceDeleteSuccess of a
// subscription's topic [D: event-schema-subscriptions].
func (s *Sim) emitResource(typ, operation, id, caller string) {
	s.emitEvent("/subscriptions/"+azureid.MustResource(id).Subscription(), id, "Microsoft.Resources."+typ, s.resourceData(operation, id, caller))
}

func (s *Sim) resourceData(operation, id, caller string) map[string]any {
	return map[string]any{
		"authorization": map[string]any{"scope": id, "action": operation},
		"claims":        map[string]any{"http://schemas.microsoft.com/identity/claims/objectidentifier": caller},
		"correlationId": s.eventID(), "operationName": operation, "resourceUri": id, "status": "Succeeded",
		"subscriptionId": azureid.MustResource(id).Subscription(), "tenantId": s.o.TenantID,
	}
}

// ResourceDeleted composes the event of a deleted resource in the Event Grid schema
// [D: event-schema-subscriptions].
func (s *Sim) ResourceDeleted(operation, id string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, err := json.Marshal(map[string]any{
		"id": s.eventID(), "topic": "/subscriptions/" + azureid.MustResource(id).Subscription(), "subject": id, "dataVersion": "1", "metadataVersion": "1",
		"eventType": "Microsoft.Resources.ResourceDeleteSuccess", "eventTime": s.clock.Now().UTC().Format(time.RFC3339Nano), "data": s.resourceData(operation, id, person),
	})
	if err != nil {
		return nil // unreachable: plain values
	}
	return raw
}

// audit writes a vault's AuditEvent record [D: Key Vault logging]; the caller's
// own request id is its correlation id.
func (s *Sim) audit(operation string, k keyCall, status int) {
	result := "Success"
	switch {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		result = "Unauthorized"
	case status >= 400:
		result = "ClientError"
	}
	correlation := k.r.Header.Get("X-Ms-Client-Request-Id")
	if correlation == "" {
		correlation = s.eventID()
	}
	s.auditRecord(operation, k.v, "https://"+k.v.Host+k.r.URL.Path, k.c.ObjectID, correlation, result, status)
}

func (s *Sim) auditRecord(operation string, v *Vault, id, oid, correlation, result string, status int) {
	s.emit(true, map[string]any{
		"time": s.clock.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"), "category": "AuditEvent", "operationName": operation,
		"resultType": result, "resultSignature": http.StatusText(status), "correlationId": correlation, "callerIpAddress": "203.0.113.7",
		"durationMs": "12", "operationVersion": "2025-07-01", "resourceId": strings.ToUpper(v.ID.String()),
		"identity": map[string]any{"claim": map[string]any{"oid": oid, "appid": oid}},
		"properties": map[string]any{
			"id": id, "requestUri": id + "?api-version=2025-07-01", "httpStatusCode": status, "isAccessPolicyMatch": status < 400, "tlsVersion": "TLS1_3",
		},
	})
}

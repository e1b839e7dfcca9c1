package azuresim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

func writeJSON(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError) // unreachable: maps of plain values
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

// writeError writes the error body that Key Vault and Resource Manager share;
// inner is Key Vault's innererror code [D: Key Vault error codes].
func writeError(w http.ResponseWriter, status int, code, message, inner string) {
	e := map[string]any{"code": code, "message": message}
	if inner != "" {
		e["innererror"] = map[string]any{"code": inner}
	}
	writeJSON(w, status, map[string]any{"error": e})
}

func (s *Sim) route(w http.ResponseWriter, r *http.Request, c *Caller) {
	switch {
	case strings.HasSuffix(r.Host, ".vault.azure.net"):
		s.serveVault(w, r, c)
	case r.Host == "login.microsoftonline.com":
		s.serveEntra(w, r)
	case strings.HasSuffix(r.Host, ".eventgrid.azure.net"):
		s.serveGrid(w, r, c)
	case c == nil:
		writeError(w, http.StatusUnauthorized, "InvalidAuthenticationToken", "The access token is invalid.", "")
	case r.Host == "management.azure.com":
		s.serveARM(w, r, c)
	default:
		writeError(w, http.StatusNotFound, "NotFound", "nothing answers at "+r.Host, "")
	}
}

// serveVault is the data plane, API 2025-07-01. It looks in the order that was
// seen in practice: caller, grant, object.
func (s *Sim) serveVault(w http.ResponseWriter, r *http.Request, c *Caller) {
	v := s.vaults[r.Host]
	switch {
	case v == nil || v.Deleted:
		writeError(w, http.StatusNotFound, "VaultNotFound", "no such vault", "")
		return
	case c == nil: // the first request comes without a token and learns the tenant [D: azkeys]
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization="https://login.microsoftonline.com/%s", resource="https://vault.azure.net"`, v.TenantID))
		writeError(w, http.StatusUnauthorized, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", "")
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	op, ok := keyOperation(r.Method, parts)
	if !ok {
		writeError(w, http.StatusMethodNotAllowed, "BadParameter", r.Method+" is not simulated at this path", "")
		return
	}
	call := keyCall{v: v, c: c, r: r}
	if len(parts) > 1 {
		call.name = parts[1]
		call.key = v.Keys[strings.ToLower(parts[1])]
	}
	if len(parts) > 2 {
		call.version = strings.ToLower(parts[2])
	}
	seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	if s.may(c.ObjectID, v, call.name, op.action, op.permission) {
		op.do(s, seen, call)
	} else {
		s.forbidden(seen, v, c, op.action, op.permission)
	}
	s.audit(op.name, call, seen.status)
}

// statusWriter remembers the status, for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (s *Sim) notFound(w http.ResponseWriter, name string) {
	writeError(w, http.StatusNotFound, "KeyNotFound", "A key with (name/id) "+name+" was not found in this key vault.", "")
}

func (s *Sim) forbidden(w http.ResponseWriter, v *Vault, c *Caller, need, permission string) {
	if v.RBAC {
		writeError(w, http.StatusForbidden, "Forbidden", "Caller is not authorized to perform action on resource.\r\nCaller: oid="+c.ObjectID+
			"\r\nAction: 'Microsoft.KeyVault/vaults/"+need+"'", "ForbiddenByRbac")
		return
	}
	writeError(w, http.StatusForbidden, "Forbidden", "The application 'oid="+c.ObjectID+"' does not have keys "+permission+" permission on key vault '"+v.ID.Name()+"'.", "AccessDenied")
}

// expiry is what the policy's expiryTime gives a version made at the time.
func (s *Sim) expiry(key *Key, at time.Time) *time.Time {
	y, m, d, ok := period(key.Rotation.ExpiryTime)
	if !ok {
		return nil
	}
	exp := at.AddDate(y, m, d)
	return &exp
}

func kid(v *Vault, key *Key, ver *Version) string {
	return azureid.Key{Host: v.Host, Name: key.Name, Version: ver.ID}.String()
}

func attributes(v *Vault, ver *Version) map[string]any {
	level := "Recoverable+Purgeable" // contains Purgeable if and only if purge protection is off [D]
	if v.PurgeProtection {
		level = "Recoverable"
	}
	a := map[string]any{"enabled": ver.Enabled, "created": ver.Created.Unix(), "updated": ver.Updated.Unix(),
		"recoveryLevel": level, "recoverableDays": v.RetentionDays, "exportable": ver.Exportable}
	if ver.Expires != nil {
		a["exp"] = ver.Expires.Unix()
	}
	if ver.NotBefore != nil {
		a["nbf"] = ver.NotBefore.Unix()
	}
	return a
}

func (s *Sim) bundle(v *Vault, key *Key, ver *Version) map[string]any {
	jwk := map[string]any{"kid": kid(v, key, ver), "kty": ver.Type, "key_ops": ver.Ops}
	if strings.HasPrefix(ver.Type, "RSA") {
		jwk["n"], jwk["e"] = base64.RawURLEncoding.EncodeToString(ver.Modulus), "AQAB"
	}
	return map[string]any{"key": jwk, "attributes": attributes(v, ver), "tags": key.Tags}
}

// serveGrid is an Event Grid topic: it takes CloudEvents.
func (s *Sim) serveGrid(w http.ResponseWriter, r *http.Request, c *Caller) {
	var events []json.RawMessage
	if c == nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
		writeError(w, http.StatusBadRequest, "BadRequest", err.Error(), "")
		return
	}
	s.published = append(s.published, events...)
	w.WriteHeader(http.StatusOK)
}

// Published returns the events that topics took.
func (s *Sim) Published() []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]json.RawMessage(nil), s.published...)
}

// NearExpiry composes Key Vault's KeyNearExpiry event in the Event Grid schema
// [D: event-schema-key-vault]; times are numbers, as the service writes them.
func (s *Sim) NearExpiry(k azureid.Key, id string) json.RawMessage {
	return s.event(k, id, "Microsoft.KeyVault.KeyNearExpiry")
}

// AccessPolicyChanged composes VaultAccessPolicyChanged for a vault.
func (s *Sim) AccessPolicyChanged(host, id string) json.RawMessage {
	return s.event(azureid.Key{Host: host}, id, "Microsoft.KeyVault.VaultAccessPolicyChanged")
}

func (s *Sim) event(k azureid.Key, id, typ string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.vaults[k.Host]
	data := map[string]any{"Id": k.String(), "VaultName": v.ID.Name(), "ObjectType": "Key", "ObjectName": k.Name, "Version": k.Version, "NBF": nil, "EXP": nil}
	subject := k.Name
	if k.Name == "" {
		subject = v.ID.Name()
		data["Id"], data["ObjectType"], data["ObjectName"] = "https://"+v.Host+"/", "Vault", v.ID.Name()
	} else if _, _, ver := s.find(k); ver != nil && ver.Expires != nil {
		data["EXP"] = ver.Expires.Unix()
	}
	raw, err := json.Marshal(map[string]any{
		"id": id, "topic": v.ID.String(), "subject": subject, "eventType": typ, "eventTime": s.clock.Now().Format(time.RFC3339Nano),
		"data": data, "dataVersion": "1", "metadataVersion": "1",
	})
	if err != nil {
		return nil // unreachable: plain values
	}
	return raw
}

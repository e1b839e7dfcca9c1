package azuresim

import (
	"net/http"
	"strings"

	"cmkguard/internal/azureid"
)

// keyOp is one operation of the data plane: its name in the AuditEvent log, and
// the data action (RBAC) or permission (access policy) that it needs [D: Key
// Vault REST reference; azure-operations for the actions].
type keyOp struct {
	name       string
	action     string
	permission string
	do         func(*Sim, http.ResponseWriter, keyCall)
}

// keyCall is one request to a vault.
type keyCall struct {
	v       *Vault
	c       *Caller
	r       *http.Request
	name    string // as the URL has it
	version string
	key     *Key // nil: there is none, not even a deleted one
}

// live returns the key unless it is deleted.
func (k keyCall) live() *Key {
	if k.key == nil || k.key.Deleted != nil {
		return nil
	}
	return k.key
}

// keyOperation finds the operation by method and path.
func keyOperation(method string, parts []string) (keyOp, bool) {
	shape := method + " " + parts[0]
	if len(parts) > 1 {
		shape += "/N"
	}
	if len(parts) > 2 {
		switch last := strings.ToLower(parts[2]); last {
		case "versions", "rotate", "rotationpolicy", "create", "recover":
			shape += "/" + last
		default:
			shape += "/V"
		}
	}
	op, ok := keyOperations()[shape]
	return op, ok && len(parts) <= 3
}

func keyOperations() map[string]keyOp {
	get := keyOp{"KeyGet", "keys/read", "get", (*Sim).getKey}
	return map[string]keyOp{
		"GET keys":                   {"KeyList", "keys/read", "list", (*Sim).listKeys},
		"GET keys/N":                 get,
		"GET keys/N/V":               get,
		"GET keys/N/versions":        {"KeyListVersions", "keys/read", "list", (*Sim).listVersions},
		"GET keys/N/rotationpolicy":  {"KeyRotationPolicyGet", "keyrotationpolicies/read", "getrotationpolicy", (*Sim).getPolicy},
		"PUT keys/N/rotationpolicy":  {"KeyRotationPolicySet", "keyrotationpolicies/write", "setrotationpolicy", (*Sim).putPolicy},
		"POST keys/N/rotate":         {"KeyRotate", "keys/rotate/action", "rotate", (*Sim).rotateKey},
		"POST keys/N/create":         {"KeyCreate", "keys/create/action", "create", (*Sim).createKey},
		"PUT keys/N":                 {"KeyImport", "keys/import/action", "import", (*Sim).importKey},
		"PATCH keys/N/V":             {"KeyUpdate", "keys/update/action", "update", (*Sim).updateKey},
		"DELETE keys/N":              {"KeyDelete", "keys/delete", "delete", (*Sim).deleteKey},
		"GET deletedkeys":            {"KeyListDeleted", "keys/read", "list", (*Sim).listDeleted},
		"GET deletedkeys/N":          {"KeyGetDeleted", "keys/read", "get", (*Sim).getDeleted},
		"POST deletedkeys/N/recover": {"KeyRecover", "keys/recover/action", "recover", (*Sim).recoverKey},
		"DELETE deletedkeys/N":       {"KeyPurge", "keys/purge/action", "purge", (*Sim).purgeKey},
	}
}

func (s *Sim) getKey(w http.ResponseWriter, k keyCall) {
	key := k.live()
	if key == nil {
		s.notFound(w, k.name)
		return
	}
	for i := len(key.Versions) - 1; i >= 0; i-- {
		if ver := key.Versions[i]; k.version == "" || ver.ID == k.version {
			writeJSON(w, http.StatusOK, s.bundle(k.v, key, ver))
			return
		}
	}
	s.notFound(w, k.name+"/"+k.version)
}

func (s *Sim) listKeys(w http.ResponseWriter, k keyCall) {
	list := []any{}
	for _, key := range sortedKeys(k.v) {
		if key.Deleted == nil {
			newest := key.Versions[len(key.Versions)-1]
			list = append(list, map[string]any{"kid": azureid.Key{Host: k.v.Host, Name: key.Name}.String(), "attributes": attributes(k.v, newest), "tags": key.Tags})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": list, "nextLink": nil})
}

func (s *Sim) listVersions(w http.ResponseWriter, k keyCall) {
	key := k.live()
	if key == nil {
		s.notFound(w, k.name)
		return
	}
	list := []any{}
	for _, ver := range key.Versions {
		list = append(list, map[string]any{"kid": kid(k.v, key, ver), "attributes": attributes(k.v, ver), "tags": key.Tags})
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": list, "nextLink": nil})
}

// rotateKey makes a new version of the same type; exp from the policy's
// expiryTime only, otherwise none [D: how to configure key rotation].
func (s *Sim) rotateKey(w http.ResponseWriter, k keyCall) {
	key := k.live()
	if key == nil {
		s.notFound(w, k.name)
		return
	}
	newest := key.Versions[len(key.Versions)-1]
	next := s.addVersion(k.v, key, KeyOptions{Type: newest.Type, Bits: newest.Bits, Ops: newest.Ops, Expires: s.expiry(key, s.clock.Now())})
	writeJSON(w, http.StatusOK, s.bundle(k.v, key, next))
}

// addVersion adds a version and tells of it.
func (s *Sim) addVersion(v *Vault, key *Key, o KeyOptions) *Version {
	next := s.newVersion(o)
	key.Versions = append(key.Versions, next)
	s.emitKey("Microsoft.KeyVault.KeyNewVersionCreated", v, key, next)
	return next
}

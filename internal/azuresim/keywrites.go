package azuresim

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

func sortedKeys(v *Vault) []*Key {
	return slices.SortedFunc(maps.Values(v.Keys), func(a, b *Key) int { return cmp.Compare(a.Name, b.Name) })
}

// keyBody is what creating, importing and updating take of a request.
type keyBody struct {
	Kty        string            `json:"kty"`
	KeySize    int               `json:"key_size"`
	KeyOps     []string          `json:"key_ops"`
	Tags       map[string]string `json:"tags"`
	Attributes struct {
		Enabled *bool  `json:"enabled"`
		Exp     *int64 `json:"exp"`
		Nbf     *int64 `json:"nbf"`
	} `json:"attributes"`
	Key struct {
		Kty    string   `json:"kty"`
		KeyOps []string `json:"key_ops"`
	} `json:"key"`
}

func (s *Sim) readBody(w http.ResponseWriter, k keyCall) (keyBody, bool) {
	var b keyBody
	if err := json.NewDecoder(k.r.Body).Decode(&b); err != nil {
		writeError(w, http.StatusBadRequest, "BadParameter", "the request is not JSON: "+err.Error(), "")
		return b, false
	}
	return b, true
}

func unix(p *int64) *time.Time {
	if p == nil {
		return nil
	}
	t := time.Unix(*p, 0).UTC()
	return &t
}

// createKey makes a key, or a new version of one [D: CreateKey].
func (s *Sim) createKey(w http.ResponseWriter, k keyCall) {
	b, ok := s.readBody(w, k)
	if !ok {
		return
	}
	s.make(w, k, KeyOptions{Type: b.Kty, Bits: b.KeySize, Ops: b.KeyOps, Expires: unix(b.Attributes.Exp), Tags: b.Tags}, b)
}

// importKey takes material from outside [D: ImportKey].
func (s *Sim) importKey(w http.ResponseWriter, k keyCall) {
	b, ok := s.readBody(w, k)
	if !ok {
		return
	}
	s.make(w, k, KeyOptions{Type: b.Key.Kty, Ops: b.Key.KeyOps, Expires: unix(b.Attributes.Exp), Tags: b.Tags}, b)
}

func (s *Sim) make(w http.ResponseWriter, k keyCall, o KeyOptions, b keyBody) {
	if k.key != nil && k.key.Deleted != nil { // the name is taken until it is purged [D: soft delete]
		writeError(w, http.StatusConflict, "Conflict", "Key "+k.name+" is currently in a deleted but recoverable state, and its name cannot be reused.", "ObjectIsDeletedButRecoverable")
		return
	}
	key := k.key
	if key == nil {
		key = &Key{Name: k.name, Tags: o.Tags}
		k.v.Keys[strings.ToLower(k.name)] = key
	}
	ver := s.addVersion(k.v, key, o)
	ver.NotBefore = unix(b.Attributes.Nbf)
	if b.Attributes.Enabled != nil {
		ver.Enabled = *b.Attributes.Enabled
	}
	writeJSON(w, http.StatusOK, s.bundle(k.v, key, ver))
}

// updateKey changes a version's attributes and operations [D: UpdateKey].
func (s *Sim) updateKey(w http.ResponseWriter, k keyCall) {
	b, ok := s.readBody(w, k)
	if !ok {
		return
	}
	key := k.live()
	if key == nil {
		s.notFound(w, k.name)
		return
	}
	i := slices.IndexFunc(key.Versions, func(v *Version) bool { return v.ID == k.version })
	if i < 0 {
		s.notFound(w, k.name+"/"+k.version)
		return
	}
	ver := key.Versions[i]
	if b.Attributes.Enabled != nil {
		ver.Enabled = *b.Attributes.Enabled
	}
	if b.Attributes.Exp != nil {
		ver.Expires = unix(b.Attributes.Exp)
	}
	if b.Attributes.Nbf != nil {
		ver.NotBefore = unix(b.Attributes.Nbf)
	}
	if b.KeyOps != nil {
		ver.Ops = b.KeyOps
	}
	if b.Tags != nil {
		key.Tags = b.Tags
	}
	ver.Updated = s.clock.Now().UTC().Truncate(time.Second)
	writeJSON(w, http.StatusOK, s.bundle(k.v, key, ver))
}

// deleteKey deletes softly: recoverable until the purge date [D: soft delete].
func (s *Sim) deleteKey(w http.ResponseWriter, k keyCall) {
	key := k.live()
	if key == nil {
		s.notFound(w, k.name)
		return
	}
	s.deleteSoftly(k.v, key)
	writeJSON(w, http.StatusOK, s.deletedBody(k.v, key))
}

func (s *Sim) deleteSoftly(v *Vault, key *Key) {
	now := s.clock.Now().UTC().Truncate(time.Second)
	key.Deleted = &Deletion{At: now, Purge: now.AddDate(0, 0, v.RetentionDays)}
}

func (s *Sim) deletedBody(v *Vault, key *Key) map[string]any {
	body := s.bundle(v, key, key.Versions[len(key.Versions)-1])
	body["recoveryId"] = "https://" + v.Host + "/deletedkeys/" + key.Name
	body["deletedDate"], body["scheduledPurgeDate"] = key.Deleted.At.Unix(), key.Deleted.Purge.Unix()
	return body
}

func (s *Sim) listDeleted(w http.ResponseWriter, k keyCall) {
	list := []any{}
	for _, key := range sortedKeys(k.v) {
		if key.Deleted != nil {
			body := s.deletedBody(k.v, key)
			body["kid"] = "https://" + k.v.Host + "/keys/" + key.Name
			delete(body, "key")
			list = append(list, body)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": list, "nextLink": nil})
}

func (s *Sim) getDeleted(w http.ResponseWriter, k keyCall) {
	if k.key == nil || k.key.Deleted == nil {
		s.notFound(w, k.name)
		return
	}
	writeJSON(w, http.StatusOK, s.deletedBody(k.v, k.key))
}

func (s *Sim) recoverKey(w http.ResponseWriter, k keyCall) {
	if k.key == nil || k.key.Deleted == nil {
		s.notFound(w, k.name)
		return
	}
	k.key.Deleted = nil
	writeJSON(w, http.StatusOK, s.bundle(k.v, k.key, k.key.Versions[len(k.key.Versions)-1]))
}

// purgeKey is refused where the vault has purge protection, for everybody and
// until the date [D: purge protection].
func (s *Sim) purgeKey(w http.ResponseWriter, k keyCall) {
	switch {
	case k.key == nil || k.key.Deleted == nil:
		s.notFound(w, k.name)
	case k.v.PurgeProtection:
		writeError(w, http.StatusForbidden, "Forbidden", "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault service will automatically purge it after the retention period has passed.", "")
	default:
		delete(k.v.Keys, strings.ToLower(k.name))
		w.WriteHeader(http.StatusNoContent)
	}
}

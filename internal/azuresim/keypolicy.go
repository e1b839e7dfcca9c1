package azuresim

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

func (s *Sim) getPolicy(w http.ResponseWriter, k keyCall) {
	key := k.live()
	if key == nil {
		s.notFound(w, k.name)
		return
	}
	writeJSON(w, http.StatusOK, s.rotationBody(k.v, key))
}

// policyBody is what UpdateKeyRotationPolicy takes.
type policyBody struct {
	LifetimeActions []struct {
		Trigger struct {
			TimeAfterCreate  string `json:"timeAfterCreate"`
			TimeBeforeExpiry string `json:"timeBeforeExpiry"`
		} `json:"trigger"`
		Action struct {
			Type string `json:"type"`
		} `json:"action"`
	} `json:"lifetimeActions"`
	Attributes struct {
		ExpiryTime string `json:"expiryTime"`
	} `json:"attributes"`
}

func (s *Sim) putPolicy(w http.ResponseWriter, k keyCall) {
	key := k.live()
	if key == nil {
		s.notFound(w, k.name)
		return
	}
	var b policyBody
	if err := json.NewDecoder(k.r.Body).Decode(&b); err != nil {
		writeError(w, http.StatusBadRequest, "BadParameter", "the request is not JSON: "+err.Error(), "")
		return
	}
	next := Rotation{ExpiryTime: b.Attributes.ExpiryTime, set: s.clock.Now().UTC().Truncate(time.Second)}
	for _, a := range b.LifetimeActions {
		next.Actions = append(next.Actions, RotationAction{
			Type: a.Action.Type, TimeAfterCreate: a.Trigger.TimeAfterCreate, TimeBeforeExpiry: a.Trigger.TimeBeforeExpiry})
	}
	if why := next.refused(s.clock.Now()); why != "" {
		writeError(w, http.StatusBadRequest, "BadParameter", why, "")
		return
	}
	key.Rotation = next
	writeJSON(w, http.StatusOK, s.rotationBody(k.v, key))
}

// refused is why the service takes no such policy: one action of each type at
// most, an expiry of 28 days or more, a rotation at least seven days after creation
// and seven before expiry [D: how to configure key rotation; azkeys].
func (r Rotation) refused(at time.Time) string {
	days := func(text string) (float64, bool) {
		y, m, d, ok := period(text)
		return at.AddDate(y, m, d).Sub(at).Hours() / 24, ok
	}
	life, lives := days(r.ExpiryTime)
	seen := map[string]bool{}
	switch {
	case r.ExpiryTime != "" && !lives:
		return "The expiryTime is not an ISO 8601 duration."
	case lives && life < 28:
		return "The expiryTime must be at least 28 days."
	}
	for _, a := range r.Actions {
		typ := strings.ToLower(a.Type)
		after, isAfter := days(a.TimeAfterCreate)
		before, isBefore := days(a.TimeBeforeExpiry)
		switch {
		case seen[typ] || typ != "rotate" && typ != "notify":
			return "One Rotate and one Notify action are supported."
		case isAfter == isBefore:
			return "A trigger is timeAfterCreate or timeBeforeExpiry."
		case isBefore && !lives:
			return "timeBeforeExpiry needs an expiryTime."
		case typ == "rotate" && (isAfter && (after < 7 || lives && life-after < 7) || isBefore && (before < 7 || life-before < 7)):
			return "A rotation is at least seven days after creation and seven days before expiry."
		}
		seen[typ] = true
	}
	return ""
}

// rotationBody is a key's policy; one that was never set shows, under
// Options.DefaultNotify, the service's default.
func (s *Sim) rotationBody(v *Vault, key *Key) map[string]any {
	r := key.Rotation
	if s.o.DefaultNotify && r.ExpiryTime == "" && len(r.Actions) == 0 {
		r.Actions = []RotationAction{{Type: "Notify", TimeBeforeExpiry: "P30D"}}
	}
	actions := []any{}
	for _, a := range r.Actions {
		trigger := map[string]any{}
		if a.TimeAfterCreate != "" {
			trigger["timeAfterCreate"] = a.TimeAfterCreate
		}
		if a.TimeBeforeExpiry != "" {
			trigger["timeBeforeExpiry"] = a.TimeBeforeExpiry
		}
		actions = append(actions, map[string]any{"trigger": trigger, "action": map[string]any{"type": a.Type}})
	}
	attrs := map[string]any{}
	if r.ExpiryTime != "" {
		attrs["expiryTime"] = r.ExpiryTime
	}
	return map[string]any{"id": "https://" + v.Host + "/keys/" + key.Name + "/rotationpolicy", "lifetimeActions": actions, "attributes": attrs}
}

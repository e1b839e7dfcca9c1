package alerttest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// Webhook is a receiver that verifies the signature of the Standard Webhooks
// specification (github.com/standard-webhooks, spec/standard-webhooks.md: HMAC-SHA256
// of ID.TIMESTAMP.BODY under the secret behind whsec_) and takes a CloudEvent 1.0 in
// structured mode.
func Webhook(secret string) Provider {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	return Provider{
		Name: "webhook", OK: http.StatusAccepted, Busy: "slow down",
		Refuse: func(r *http.Request, body []byte) *Refusal {
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "."))
			mac.Write(body)
			if r.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
				return no(http.StatusUnauthorized, "signature", "the signature is wrong")
			}
			var e struct {
				SpecVersion, ID, Source, Type string
				Data                          struct{ ID string }
			}
			if json.Unmarshal(body, &e) != nil || e.SpecVersion != "1.0" || e.ID == "" || e.Source == "" || e.Type == "" || e.Data.ID != e.ID ||
				e.ID != r.Header.Get("webhook-id") || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents+json") {
				return no(http.StatusBadRequest, "event", "an attribute is missing")
			}
			return nil
		},
	}
}

// SeenInWebhook is the event's data.
func SeenInWebhook(body []byte) string {
	return SeenInEventGrid(append(append([]byte("["), body...), ']'))
}

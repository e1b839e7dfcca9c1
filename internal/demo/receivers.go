package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/preview"
)

const (
	// secret signs the demo's webhooks; it protects nothing but this story.
	secret = "whsec_YSBzZWNyZXQgb2YgdGhlIGRlbW8sIG5vdCBvZiBhbnlib2R5"
	// routingKey is the demo's key of PagerDuty's Events API: 32 characters.
	routingKey = "0123456789abcdef0123456789abcdef"

	maxTaken = 1 << 20
	kept     = 500
)

// receivers stand in for the products that alerts go to, on loopback: each takes
// what the real binary sends it over HTTP, answers as the product does, and keeps
// it to be looked at.
type receivers struct {
	url    string
	now    func() time.Time
	server *http.Server
	hook   *standardwebhooks.Webhook

	mu     sync.Mutex
	sent   []preview.Message // the newest at the end
	n      int               // how many were sent in all
	alerts []alert.Alert     // what came over the signed webhook
}

func listen(now func() time.Time) (*receivers, error) {
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receivers{url: "http://" + l.Addr().String(), now: now, hook: hook}
	mux := http.NewServeMux()
	for path, take := range map[string]func(body []byte, h http.Header) (channel, kind, answer string, status int){
		"/alerts": r.webhook, "/services/T0/B0/demo": slackWebhook, "/workflows/demo": teamsWorkflow,
		"/v2/enqueue": pagerDuty, "/v2/change/enqueue": pagerDuty,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, req *http.Request) { r.take(w, req, take) })
	}
	r.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: mux}
	go func() { _ = r.server.Serve(l) }()
	return r, nil
}

// settings are those that the policy's channels refer to.
func (r *receivers) settings() map[string]string {
	return map[string]string{
		"CMKGUARD_DEMO_SECRET": secret, "CMKGUARD_DEMO_PAGER": routingKey,
		"CMKGUARD_DEMO_CHAT": r.url + "/services/T0/B0/demo", "CMKGUARD_DEMO_TEAM": r.url + "/workflows/demo",
	}
}

func (r *receivers) take(w http.ResponseWriter, req *http.Request, take func([]byte, http.Header) (string, string, string, int)) {
	body, err := io.ReadAll(io.LimitReader(req.Body, maxTaken))
	if err != nil {
		return
	}
	channel, kind, answer, status := take(body, req.Header)
	r.keep(preview.Message{Channel: channel, Kind: kind, To: req.URL.Path, Answer: fmt.Sprintf("%d %s", status, answer), Body: body})
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func (r *receivers) keep(m preview.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	m.N, m.At = r.n, r.now()
	r.sent = append(r.sent, m)
	if len(r.sent) > kept {
		r.sent = r.sent[len(r.sent)-kept:]
	}
}

// messages returns what is kept, and how many were sent in all.
func (r *receivers) messages() ([]preview.Message, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]preview.Message(nil), r.sent...), r.n
}

// webhook refuses what is not signed by us. The story's clock is not this
// machine's: the signature is checked, the age of its timestamp is not.
func (r *receivers) webhook(body []byte, h http.Header) (channel, kind, answer string, status int) {
	if err := r.hook.VerifyIgnoringTimestamp(body, h); err != nil {
		return "ops", "webhook", "the signature is not ours", http.StatusUnauthorized
	}
	var ev struct {
		Data alert.Alert `json:"data"`
	}
	if json.Unmarshal(body, &ev) != nil {
		return "ops", "webhook", "no CloudEvent of ours", http.StatusBadRequest
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alerts = append(r.alerts, ev.Data)
	return "ops", "webhook", "ok", http.StatusOK
}

// slackWebhook answers as an incoming webhook does (docs.slack.dev/messaging/
// sending-messages-using-incoming-webhooks).
func slackWebhook(body []byte, _ http.Header) (channel, kind, answer string, status int) {
	if !json.Valid(body) {
		return "chat", "slack", "invalid_payload", http.StatusBadRequest
	}
	return "chat", "slack", "ok", http.StatusOK
}

// teamsWorkflow takes a message and says no more than that (learn.microsoft.com,
// "When a Teams webhook request is received" answers 202).
func teamsWorkflow([]byte, http.Header) (channel, kind, answer string, status int) {
	return "team", "teams", "", http.StatusAccepted
}

// pagerDuty answers as the Events API v2 does, with the event's key.
func pagerDuty(body []byte, _ http.Header) (channel, kind, answer string, status int) {
	var e struct {
		Key   string `json:"routing_key"`
		Dedup string `json:"dedup_key"`
	}
	if json.Unmarshal(body, &e) != nil || !strings.EqualFold(e.Key, routingKey) {
		return "pager", "pagerduty", `{"status":"invalid event"}`, http.StatusBadRequest
	}
	receipt, err := json.Marshal(map[string]string{"status": "success", "message": "Event processed", "dedup_key": e.Dedup})
	if err != nil {
		return "pager", "pagerduty", "", http.StatusInternalServerError
	}
	return "pager", "pagerduty", string(receipt), http.StatusAccepted
}

// find returns the first alert of the signed webhook that fits.
func (r *receivers) find(fits func(alert.Alert) bool) (alert.Alert, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.alerts {
		if fits(a) {
			return a, true
		}
	}
	return alert.Alert{}, false
}

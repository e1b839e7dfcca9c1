package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/webhook"
	"cmkguard/internal/fault"
)

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("thirty-two bytes of test secret!"))

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

// received is one request as the server saw it.
type received struct {
	header http.Header
	body   []byte
}

// inbox is a server that keeps what it got and answers by answer.
type inbox struct {
	*httptest.Server
	mu  sync.Mutex
	got []received
}

func serve(t *testing.T, answer http.HandlerFunc) *inbox {
	t.Helper()
	in := &inbox{}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in.mu.Lock()
		in.got = append(in.got, received{r.Header.Clone(), body})
		in.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(in.Close)
	return in
}

func (in *inbox) all() []received {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]received(nil), in.got...)
}

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }

func channel(t *testing.T, url string, now func() time.Time) *webhook.Channel {
	t.Helper()
	c, err := webhook.New(url, secret, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConformance(t *testing.T) {
	t.Parallel()
	alerttest.Conform(t, alerttest.Kit{
		Open: func(url string) (alert.Channel, error) { return webhook.New(url+"/hooks/XSECRETX", secret, start) },
		Fake: alerttest.Webhook(secret), Seen: alerttest.SeenInWebhook, Secrets: []string{"XSECRETX", secret},
	})
}

func TestTheReceiverCanVerifyAndReadTheEvent(t *testing.T) {
	t.Parallel()
	in := serve(t, ok)
	now := time.Now() // the library's Verify compares with the real clock
	sample := alerttest.Sample("a-1", start())
	if _, err := channel(t, in.URL, func() time.Time { return now }).Send(context.Background(), sample); err != nil {
		t.Fatal(err)
	}
	got := in.all()[0]
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.Verify(got.body, got.header); err != nil {
		t.Errorf("signature: %v", err)
	}
	if err := wh.Verify(append(got.body, ' '), got.header); err == nil {
		t.Error("a changed body verifies")
	}
	var ev struct {
		SpecVersion, ID, Source, Type, Subject, DataContentType string
		Time                                                    time.Time
		Data                                                    alert.Alert
	}
	if err := json.Unmarshal(got.body, &ev); err != nil {
		t.Fatal(err)
	}
	if ev.SpecVersion != "1.0" || ev.ID != "a-1" || ev.Source != "cmkguard" || ev.Type != "io.cmkguard.alert.v1" ||
		ev.DataContentType != "application/json" || !ev.Time.Equal(start()) || got.header.Get("webhook-id") != "a-1" ||
		got.header.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" {
		t.Errorf("%+v %v", ev, got.header)
	}
	if diff := cmp.Diff(sample, ev.Data); diff != "" {
		t.Error(diff)
	}
}

// A receiver that acted and then dropped the line must be able to tell that the
// second attempt is the same alert: same id, same body.
func TestALostAnswerIsUnknownAndTheResendIsTheSame(t *testing.T) {
	t.Parallel()
	var once sync.Once
	in := serve(t, func(w http.ResponseWriter, r *http.Request) {
		drop := false
		once.Do(func() { drop = true })
		if drop {
			panic(http.ErrAbortHandler)
		}
		ok(w, r)
	})
	at := start()
	c := channel(t, in.URL, func() time.Time { return at })
	sample := alerttest.Sample("a-1", start())
	if _, err := c.Send(context.Background(), sample); fault.KindOf(err) != fault.Unknown || err == nil {
		t.Fatalf("a dropped answer: %v", err)
	}
	at = at.Add(time.Minute)
	if _, err := c.Send(context.Background(), sample); err != nil {
		t.Fatal(err)
	}
	got := in.all()
	if len(got) != 2 || got[0].header.Get("webhook-id") != got[1].header.Get("webhook-id") {
		t.Fatalf("%d requests", len(got))
	}
	if diff := cmp.Diff(string(got[0].body), string(got[1].body)); diff != "" {
		t.Error(diff)
	}
	if got[0].header.Get("webhook-timestamp") == got[1].header.Get("webhook-timestamp") {
		t.Error("the second signature has the first one's time: receivers refuse it after five minutes")
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	t.Parallel()
	thief := serve(t, ok)
	in := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	})
	_, err := channel(t, in.URL, start).Send(context.Background(), alerttest.Sample("a-1", start()))
	if !fault.Is(err, fault.Invalid) || len(thief.all()) != 0 {
		t.Errorf("%v; %d requests at the other host", err, len(thief.all()))
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"30": 30 * time.Second,
		start().Add(time.Minute).Format(http.TimeFormat):      time.Minute,
		start().Add(-time.Hour).Format(http.TimeFormat):       0,
		start().Add(9999 * time.Hour).Format(http.TimeFormat): 24 * time.Hour,
		"4000000000": 24 * time.Hour, "99999999999999999999": 0, "-5": 0, "soon": 0, "": 0,
	} {
		in := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		_, err := channel(t, in.URL, start).Send(context.Background(), alerttest.Sample("a-1", start()))
		if !fault.Is(err, fault.Transient) || fault.RetryAfter(err) != want {
			t.Errorf("%q: %s %v, want %s", value, fault.RetryAfter(err), err, want)
		}
	}
}

// The URL's path is a secret at many receivers: no error may show it.
func TestErrorsDoNotShowTheURL(t *testing.T) {
	t.Parallel()
	in := serve(t, ok)
	in.Close()
	_, err := channel(t, in.URL+"/hooks/T0PSECRET", start).Send(context.Background(), alerttest.Sample("a-1", start()))
	if err == nil || strings.Contains(err.Error(), "T0PSECRET") {
		t.Errorf("%v", err)
	}
}

func TestASlowReceiverIsLeft(t *testing.T) {
	t.Parallel()
	in := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := channel(t, in.URL, start).Send(ctx, alerttest.Sample("a-1", start())); err == nil || fault.KindOf(err) != fault.Unknown {
		t.Errorf("%v", err)
	}
}

// An answer without an end must neither fill memory nor hold the delivery.
func TestAnEndlessAnswerIsBounded(t *testing.T) {
	t.Parallel()
	in := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := channel(t, in.URL, start).Send(ctx, alerttest.Sample("a-1", start())); err != nil || ctx.Err() != nil {
		t.Errorf("%v; read until the deadline: %v", err, ctx.Err())
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://ops.example.com/h", "ftp://x", "https://", "", "https://u:p@x.example/", "://", "http://127.0.0.1.evil.example/"} {
		if _, err := webhook.New(url, secret, start); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", url, err)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("%v shows the password", err)
		}
	}
	for _, s := range []string{"", "whsec_", "whsec_not base64", "c2hvcnQ="} {
		if _, err := webhook.New("https://ops.example.com/h", s, start); !fault.Is(err, fault.Invalid) {
			t.Errorf("secret %q: %v", s, err)
		}
	}
	for _, url := range []string{"https://ops.example.com/h", "http://127.0.0.1:8080/", "http://[::1]:1/", "http://LOCALHOST/"} {
		if _, err := webhook.New(url, secret, start); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
}

package eventgrid_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/eventgrid"
	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/grid"
)

const topic = "https://cmk.westeurope-1.eventgrid.azure.net/api/events"

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

// channel returns a Channel over the real SDK that talks to a server which
// answers by h.
func channel(t *testing.T, h http.HandlerFunc) (*eventgrid.Channel, *azuretest.Azure) {
	t.Helper()
	a := azuretest.Serve(t, h)
	p, err := cloud.Load(a.Profile)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := p.Credential("")
	if err != nil {
		t.Fatal(err)
	}
	pub, err := grid.New(p, topic, cred)
	if err != nil {
		t.Fatal(err)
	}
	return eventgrid.New(pub, func() time.Time { return start().Add(time.Hour) }), a
}

func TestTheEventHoldsTheAlert(t *testing.T) {
	t.Parallel()
	c, a := channel(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	sample := alerttest.Sample("a-1", start())
	for range 2 {
		if id, err := c.Send(context.Background(), sample); err != nil || id != "a-1" {
			t.Fatalf("%q %v", id, err)
		}
	}
	calls := a.Calls()
	if diff := cmp.Diff(calls[0].Body, calls[1].Body); diff != "" {
		t.Errorf("the second attempt is another event: %s", diff)
	}
	var evs []struct {
		ID, Source, Type, Subject, SpecVersion string
		Time                                   time.Time
		Data                                   alert.Alert
	}
	if err := json.Unmarshal([]byte(calls[0].Body), &evs); err != nil || len(evs) != 1 {
		t.Fatalf("%v: %s", err, calls[0].Body)
	}
	ev := evs[0]
	if ev.ID != "a-1" || ev.Type != "CmkGuard.Alert" || ev.Source != "cmkguard" || ev.Subject != sample.Subject || !ev.Time.Equal(start()) {
		t.Errorf("%+v", ev)
	}
	if diff := cmp.Diff(sample, ev.Data); diff != "" {
		t.Error(diff)
	}
}

// Everything that the other channels do. The SDK tries some answers again by itself,
// within the caller's deadline.
func TestConformance(t *testing.T) {
	t.Parallel()
	alerttest.Conform(t, alerttest.Kit{
		Serve: func(t *testing.T, mood alerttest.Mood) (string, func() []alerttest.Call) {
			r := alerttest.NewReceiver(alerttest.EventGrid(), mood)
			return azuretest.Serve(t, r.ServeHTTP).Profile, r.Calls
		},
		Open: func(profile string) (alert.Channel, error) {
			p, err := cloud.Load(profile)
			if err != nil {
				return nil, err
			}
			cred, err := p.Credential("")
			if err != nil {
				return nil, err
			}
			pub, err := grid.New(p, topic, cred)
			return eventgrid.New(pub, start), err
		},
		Seen: alerttest.SeenInEventGrid, Secrets: []string{azuretest.Token},
	})
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	alerttest.StatusTable(t, func(t *testing.T, h http.HandlerFunc) error {
		// The SDK asks again by itself; a deadline that ends it is Unknown, which
		// the dispatcher tries again as well.
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		c, _ := channel(t, h)
		id, err := c.Send(ctx, alerttest.Sample("a-1", start()))
		if (err == nil) != (id == "a-1") {
			t.Errorf("provider's id %q with error %v", id, err)
		}
		return err
	})
}

func TestACancelledSendSaysSo(t *testing.T) {
	t.Parallel()
	c, _ := channel(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Send(ctx, alerttest.Sample("a-1", start())); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

package localhost_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/localhost"
	"cmkguard/internal/store"
)

// capture is a body that the real host sent, as far as the tests take it apart.
type capture struct {
	Data     map[string]json.RawMessage
	Metadata struct {
		DequeueCount, ID, InsertionTime, NextVisibleTime, PopReceipt string

		Sys struct {
			MethodName, RandGuid string
			UtcNow               time.Time
		}
	}
}

func captured(t *testing.T, pattern string) map[string][]byte {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "payloads", "host")
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Skip("no captures of the real host at " + dir)
	}
	bodies := make(map[string][]byte, len(files))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		bodies[filepath.Base(f)] = b
	}
	return bodies
}

func takeApart(t *testing.T, body []byte) (capture, localhost.Call) {
	t.Helper()
	var c capture
	if err := json.Unmarshal(body, &c); err != nil {
		t.Fatal(err)
	}
	return c, localhost.Call{Function: c.Metadata.Sys.MethodName, UtcNow: c.Metadata.Sys.UtcNow, RandGuid: c.Metadata.Sys.RandGuid}
}

// The envelopes are compared byte for byte: with the capture's own ids and
// times put in, nothing may differ, not even the order of keys.
func same(t *testing.T, name string, got []byte, err error, want []byte) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if d := cmp.Diff(string(bytes.TrimSpace(want)), string(got)); d != "" {
		t.Errorf("%s: real host (-), ours (+): %s", name, d)
	}
}

func TestEventGridEnvelopeIsTheRealHosts(t *testing.T) {
	for name, want := range captured(t, "eventGridTrigger.*.json") {
		c, call := takeApart(t, want)
		got, err := localhost.EventGridEnvelope(call, "event", c.Data["event"])
		same(t, name, got, err, want)
	}
}

func TestQueueEnvelopeIsTheRealHosts(t *testing.T) {
	for name, want := range captured(t, "queueTrigger.binary.*.json") {
		c, call := takeApart(t, want)
		m := store.Message{ID: unquote(t, c.Metadata.ID), Receipt: unquote(t, c.Metadata.PopReceipt), Inserted: at(t, c.Metadata.InsertionTime)}
		var text string
		if err := json.Unmarshal(c.Data["item"], &text); err != nil {
			t.Fatal(err)
		}
		var err error
		if m.Body, err = base64.StdEncoding.DecodeString(text); err != nil {
			t.Fatal(err)
		}
		if m.Dequeued, err = strconv.Atoi(c.Metadata.DequeueCount); err != nil {
			t.Fatal(err)
		}
		got, err := localhost.QueueEnvelope(call, "item", m, at(t, c.Metadata.NextVisibleTime))
		same(t, name, got, err, want)
	}
}

func TestTimerEnvelopeIsTheRealHosts(t *testing.T) {
	for name, want := range captured(t, "timerTrigger*.json") {
		_, call := takeApart(t, want)
		got, err := localhost.TimerEnvelope(call, "timer", localhost.Tick{})
		same(t, name, got, err, want)
	}
}

func TestEnvelopeDetails(t *testing.T) {
	call := localhost.Call{Function: "f", UtcNow: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), RandGuid: "g"}
	const sys = `"sys":{"MethodName":"f","UtcNow":"2026-11-24T00:00:00Z","RandGuid":"g"}`
	for event, metadata := range map[string]string{
		`{"id":"1"}`:                    `{` + sys + `}`,
		`{"data":null}`:                 `{` + sys + `}`,
		`{"data":"a<b"}`:                `{"data":"\"a<b\"",` + sys + `}`,
		`{"data":[1,{"a":"&"}]}`:        `{"data":"[1,{\"a\":\"&\"}]",` + sys + `}`,
		`{"data":{"Version":"","x":1}}`: `{"data":{"Version":"","x":1},` + sys + `}`,
	} {
		got, err := localhost.EventGridEnvelope(call, "event", json.RawMessage(event))
		same(t, event, got, err, []byte(`{"Data":{"event":`+event+`},"Metadata":`+metadata+`}`))
	}
	if b, err := localhost.EventGridEnvelope(call, "event", json.RawMessage(`{"id":`)); err == nil {
		t.Errorf("broken JSON became %s", b)
	}
	last := time.Date(2026, 11, 23, 23, 55, 0, 0, time.UTC)
	got, err := localhost.TimerEnvelope(call, "timer", localhost.Tick{Last: last, Next: last.Add(5 * time.Minute), PastDue: true})
	same(t, "second tick", got, err, []byte(`{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":`+
		`{"Last":"2026-11-23T23:55:00Z","Next":"2026-11-24T00:00:00Z","LastUpdated":"2026-11-23T23:55:00Z"},"IsPastDue":true}},"Metadata":{`+sys+`}}`))
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	if !strings.HasPrefix(s, `"`) {
		t.Fatalf("%q is no string of a string", s)
	}
	var out string
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

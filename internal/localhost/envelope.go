package localhost

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Call is what the host puts into the Metadata of every invocation.
type Call struct {
	Function string
	UtcNow   time.Time
	RandGuid string
}

// messageLife is how long a Storage queue keeps a message by default.
const messageLife = 7 * 24 * time.Hour

// hostSeconds is how the host writes the times of a queue message.
const hostSeconds = "2006-01-02T15:04:05-07:00"

type sys struct {
	MethodName string
	UtcNow     string
	RandGuid   string
}

// sys writes the time with .NET's seven digits, trailing zeros dropped.
func (c Call) sys() sys {
	now := c.UtcNow.UTC().Truncate(100 * time.Nanosecond).Format(time.RFC3339Nano)
	return sys{MethodName: c.Function, UtcNow: now, RandGuid: c.RandGuid}
}

type envelope struct {
	Data     map[string]any // one binding
	Metadata any
}

// EventGridEnvelope returns the body of an eventGridTrigger's invocation for
// one event in either schema. Metadata repeats the event's data: as it is if
// an object, else as text. The real host also rewrites offsets of dates and
// long numbers within the event; this does not.
func EventGridEnvelope(c Call, binding string, event json.RawMessage) ([]byte, error) {
	const op = "localhost.EventGridEnvelope"
	var e struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	var metadata struct {
		Data any `json:"data,omitempty"`
		Sys  sys `json:"sys"`
	}
	metadata.Sys = c.sys()
	switch {
	case len(e.Data) == 0, string(e.Data) == "null":
	case e.Data[0] == '{':
		metadata.Data = e.Data
	default:
		metadata.Data = string(e.Data)
	}
	return encode(op, envelope{Data: map[string]any{binding: event}, Metadata: metadata})
}

// QueueEnvelope returns the body of a queueTrigger's invocation with dataType
// binary. nextVisible is when the message comes back if nobody settles it.
func QueueEnvelope(c Call, binding string, m store.Message, nextVisible time.Time) ([]byte, error) {
	const op = "localhost.QueueEnvelope"
	metadata := struct {
		DequeueCount, ExpirationTime, Id, InsertionTime, NextVisibleTime, PopReceipt string //nolint:revive // the host's names

		Sys sys `json:"sys"`
	}{
		DequeueCount:    text(m.Dequeued),
		ExpirationTime:  m.Inserted.UTC().Add(messageLife).Format(hostSeconds),
		Id:              text(m.ID),
		InsertionTime:   m.Inserted.UTC().Format(hostSeconds),
		NextVisibleTime: nextVisible.UTC().Format(hostSeconds),
		PopReceipt:      text(m.Receipt),
		Sys:             c.sys(),
	}
	body := base64.StdEncoding.EncodeToString(m.Body)
	return encode(op, envelope{Data: map[string]any{binding: body}, Metadata: metadata})
}

// Tick is one call of a timer. Last is when it was called before, zero for
// the first time: the host then sends no schedule status.
type Tick struct {
	Last, Next time.Time
	PastDue    bool
}

// TimerEnvelope returns the body of a timerTrigger's invocation.
func TimerEnvelope(c Call, binding string, tick Tick) ([]byte, error) {
	const op = "localhost.TimerEnvelope"
	type status struct{ Last, Next, LastUpdated time.Time }
	var info struct {
		Schedule       struct{ AdjustForDST bool }
		ScheduleStatus *status
		IsPastDue      bool
	}
	info.Schedule.AdjustForDST = true
	info.IsPastDue = tick.PastDue
	if !tick.Last.IsZero() {
		info.ScheduleStatus = &status{Last: tick.Last.UTC(), Next: tick.Next.UTC(), LastUpdated: tick.Last.UTC()}
	}
	metadata := struct {
		Sys sys `json:"sys"`
	}{c.sys()}
	return encode(op, envelope{Data: map[string]any{binding: info}, Metadata: metadata})
}

// text is the host's rule for everything that is neither object, bytes nor
// date: the JSON text of the value, as a string.
func text(v any) string {
	b, err := encode("", v)
	if err != nil {
		return ""
	}
	return string(b)
}

// encode writes JSON as .NET does: on one line, with < > & as they are.
func encode(op string, v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

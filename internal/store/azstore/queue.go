package azstore

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2/queueerror"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/store"
)

// queue is Storage queues whose messages are base64, as host.json says.
type queue struct{ service *azqueue.ServiceClient }

// forever keeps a message until it is done: the default is 7 days, in which one
// that is hidden for 7 days would die.
const forever = -1

// Put implements store.Queue.
func (q *queue) Put(ctx context.Context, name string, body []byte, delay time.Duration) error {
	const op = "azstore.Put"
	if err := store.CheckMessage(op, name, body, delay); err != nil {
		return err
	}
	c := q.service.NewQueueClient(name)
	o := &azqueue.EnqueueMessageOptions{TimeToLive: to.Ptr(int32(forever)), VisibilityTimeout: seconds(delay)}
	text := base64.StdEncoding.EncodeToString(body)
	_, err := c.EnqueueMessage(once(ctx), text, o)
	if missing(err) {
		if err := made(op, create(ctx, c)); err != nil {
			return err
		}
		_, err = c.EnqueueMessage(once(ctx), text, o)
	}
	return azfault.Write(op, err)
}

func create(ctx context.Context, c *azqueue.QueueClient) error {
	_, err := c.Create(ctx, nil)
	return err
}

func missing(err error) bool {
	_, code := answered(err)
	return code == string(queueerror.QueueNotFound)
}

// seconds rounds up: a message must not be seen before its time.
func seconds(d time.Duration) *int32 {
	return to.Ptr(int32((d + time.Second - 1) / time.Second))
}

// Take implements store.Queue.
func (q *queue) Take(ctx context.Context, name string, limit int, hidden time.Duration) ([]store.Message, error) {
	const op = "azstore.Take"
	if err := store.CheckTake(op, name, limit, hidden); err != nil {
		return nil, err
	}
	resp, err := q.service.NewQueueClient(name).DequeueMessages(once(ctx), &azqueue.DequeueMessagesOptions{
		NumberOfMessages: to.Ptr(int32(min(limit, store.MaxTake))), VisibilityTimeout: seconds(hidden),
	})
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, azfault.Read(op, err) // what was taken comes back by itself
	}
	out := make([]store.Message, 0, len(resp.Messages))
	for _, m := range resp.Messages {
		out = append(out, message(m))
	}
	return out, nil
}

func message(m *azqueue.DequeuedMessage) store.Message {
	out := store.Message{ID: deref(m.MessageID), Receipt: deref(m.PopReceipt), Dequeued: int(deref(m.DequeueCount)), Inserted: deref(m.InsertionTime).UTC()}
	text := deref(m.MessageText)
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		body = []byte(text) // somebody else's: whoever takes it will call it poison
	}
	out.Body = body
	return out
}

func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// Done implements store.Queue.
func (q *queue) Done(ctx context.Context, name string, m store.Message) error {
	const op = "azstore.Done"
	if err := store.CheckKey(op, name); err != nil {
		return err
	}
	if m.ID == "" || m.Receipt == "" {
		return conflict(op, "message %q has no receipt", m.ID)
	}
	_, err := q.service.NewQueueClient(name).DeleteMessage(once(ctx), m.ID, m.Receipt, nil)
	status, _ := answered(err)
	switch status {
	case http.StatusNotFound, http.StatusBadRequest: // taken again, done, or not a receipt of this message
		return conflict(op, "message %s was taken again or is done", m.ID)
	}
	return azfault.Write(op, err)
}

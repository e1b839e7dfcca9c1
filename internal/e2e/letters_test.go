package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"cmkguard/internal/hostproc"
	"cmkguard/internal/store/azurite"
)

// leave puts a blob into the container of dead letters, as Event Grid does.
func leave(t *testing.T, s *azurite.Server, name string, body []byte) {
	t.Helper()
	o := s.Options("cmkguard")
	key, err := container.NewSharedKeyCredential(o.Key.Account, o.Key.Key)
	must(t, err)
	c, err := container.NewClientWithSharedKeyCredential(o.Blobs+"/cmkguard-deadletter", key, nil)
	must(t, err)
	_, _ = c.Create(t.Context(), nil)
	_, err = c.NewBlockBlobClient(name).UploadBuffer(t.Context(), body, nil)
	must(t, err)
}

// TestWhatEventGridGaveUpOnAzureStorage: an event reaches us by its dead letter
// alone, one that cannot be read stays until a person drops it, and what the
// function could not read is dropped likewise, all beside the running process.
func TestWhatEventGridGaveUpOnAzureStorage(t *testing.T) {
	t.Parallel()
	s := azurite.Start(t)
	w := onAzurite(t, s)
	ctx := context.Background()
	event := w.sim.NearExpiry(w.sample.Key, "event-1")
	letter := bytes.Replace(event, []byte("{"), []byte(`{"deadLetterReason":"MaxDeliveryAttemptsExceeded","deliveryAttempts":30,"lastDeliveryOutcome":"NotFound","publishTime":"2026-10-31T10:00:00Z",`), 1)
	const name, junk = "CMKGUARD/2026/11/1/9/5f1c.json", "CMKGUARD/2026/11/1/9/9e2d.json"
	leave(t, s, name, append(append([]byte("["), letter...), ']'))
	leave(t, s, junk, []byte("junk"))
	c := w.standalone(ctx)
	must(t, w.await(3*time.Minute, func() error { return w.settled(ctx, c) }))
	say := func(args ...string) string {
		out, err := c.Command(ctx, args...)
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return out
	}
	if out := say("deadletter", "list"); strings.Contains(out, name) || !strings.Contains(out, junk) || !strings.Contains(out, "not JSON") {
		t.Fatal(out)
	}
	if out, err := c.Command(ctx, "deadletter", "replay", "--all"); err == nil || !strings.Contains(out, junk+"  stays: ") {
		t.Fatalf("%v\n%s", err, out)
	}
	say("deadletter", "drop", junk, "--reason", "ticket 7")
	if out := say("deadletter", "list"); !strings.Contains(out, "no dead letters") {
		t.Fatal(out)
	}
	must(t, c.Event(ctx, []byte(`{"id":"e2","eventType":"Microsoft.KeyVault.KeyExpired"}`)))
	id := strings.Fields(strings.Split(say("poison", "list"), "\n")[1])[0]
	if out, err := c.Command(ctx, "poison", "replay", id); err == nil || !strings.Contains(out, "topic is missing") {
		t.Fatalf("%v\n%s", err, out)
	}
	say("poison", "drop", id, "--reason", "ticket 8")
	if out := say("poison", "list"); !strings.Contains(out, "nothing is kept") {
		t.Fatal(out)
	}
	must(t, w.await(time.Minute, func() error { return w.recorded(ctx, c, "dead letter "+name+" taken in", ": ticket 7", ": ticket 8") }))
	if n := strings.Count(c.Output(), "which we took in now"); n != 1 {
		t.Fatalf("told %d times:\n%s", n, c.Tail())
	}
}

// recorded reports which of the texts the sealed journal has not.
func (w *world) recorded(ctx context.Context, c *hostproc.Child, texts ...string) error {
	out, err := c.Command(ctx, "audit", "export")
	for _, text := range texts {
		if err == nil && !strings.Contains(out, text) {
			err = fmt.Errorf("the journal does not say %q", text)
		}
	}
	return err
}

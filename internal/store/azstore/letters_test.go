package azstore_test

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
	"cmkguard/internal/store/azstore"
	"cmkguard/internal/store/azurite"
	"cmkguard/internal/store/storetest"
)

// poster puts blobs into the container as Event Grid does, and makes it first.
func poster(t *testing.T, o azstore.Options) func(name string, body []byte) {
	t.Helper()
	key, err := container.NewSharedKeyCredential(o.Key.Account, o.Key.Key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := container.NewClientWithSharedKeyCredential(o.Blobs+"/"+o.Prefix+"-deadletter", key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(name string, body []byte) {
		_, _ = c.Create(t.Context(), nil)
		b := c.NewBlockBlobClient(name)
		if _, err := b.UploadBuffer(t.Context(), body, &blockblob.UploadBufferOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLettersConformance(t *testing.T) {
	t.Parallel()
	s := azurite.Start(t)
	o := s.Options("t" + strings.ToLower(rand.Text()[:12]))
	l, err := azstore.OpenLetters(o)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Letters(t, l, poster(t, o))
}

// A deletion whose answer is lost is settled by the next look: nothing is deleted
// that was not read.
func TestLettersWhoseAnswersAreLost(t *testing.T) {
	t.Parallel()
	s := azurite.Start(t)
	o := s.Options("t" + strings.ToLower(rand.Text()[:12]))
	put := poster(t, o)
	c := &cutter{next: http.DefaultTransport}
	o.Client.Transport = c
	l, err := azstore.OpenLetters(o)
	if err != nil {
		t.Fatal(err)
	}
	put("A/1.json", bytes.Repeat([]byte(" "), 10))
	_, one, err := l.Get(t.Context(), "A/1.json")
	if err != nil {
		t.Fatal(err)
	}
	c.every.Store(1)
	if err := l.Delete(t.Context(), one); !fault.Is(err, fault.Unknown) {
		t.Fatalf("%v: a lost answer is no answer", err)
	}
	put("A/1.json", []byte("[]")) // Event Grid never does; whoever does keeps it
	c.every.Store(0)
	if err := l.Delete(t.Context(), one); !fault.Is(err, fault.Conflict) {
		t.Fatalf("%v: what was not read was deleted", err)
	}
	var names []string
	if err := l.Each(t.Context(), func(one store.Letter) (bool, error) { names = append(names, one.Name); return true, nil }); err != nil || len(names) != 1 {
		t.Fatalf("%q %v", names, err)
	}
}

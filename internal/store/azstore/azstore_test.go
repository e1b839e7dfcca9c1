package azstore_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
	"cmkguard/internal/store/azstore"
	"cmkguard/internal/store/azurite"
	"cmkguard/internal/store/storetest"
)

func open(t testing.TB, s *azurite.Server) store.Backend {
	t.Helper()
	b, err := azstore.Open(t.Context(), s.Options("t"+strings.ToLower(rand.Text()[:12])))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConformance(t *testing.T) {
	t.Parallel()
	s := azurite.Start(t)
	storetest.RunReal(t, func(t *testing.T, _ func() time.Time) store.Backend { return open(t, s) })
}

func TestAKeyIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	_, err := azstore.Open(t.Context(), azstore.Options{
		Tables: "https://acc.table.core.windows.net", Queues: "http://127.0.0.1:1/a", Blobs: "http://127.0.0.1:2/a",
		Key: &azstore.SharedKey{Account: "acc", Key: "a2V5"},
	})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "acc.table.core.windows.net") {
		t.Fatalf("%v: an account key went to a real account", err)
	}
}

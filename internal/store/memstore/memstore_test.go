package memstore_test

import (
	"testing"
	"time"

	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
	"cmkguard/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(_ *testing.T, now func() time.Time) store.Backend { return memstore.New(now).Backend() })
}

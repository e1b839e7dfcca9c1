package alert_test

import (
	"context"
	"net/http"
	"testing"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
)

// Two workers on one outbox: people are told once, and there is one receipt.
func TestTwoDispatchersTellOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var second *alert.Dispatcher
	r := b.receiver(func(n int, _ http.ResponseWriter, _ *http.Request) {
		if n == 1 { // while the first one's request is out, the second does all of it
			if _, _, err := second.Dispatch(context.Background(), part); err != nil {
				t.Error(err)
			}
		}
	})
	b.connect(map[string]*receiver{"ops": r})
	second = b.d
	b.put(alerttest.Sample("a-1", start()), "ops")
	b.dispatch()
	if left, _ := b.dispatch(); left != 0 || len(r.all()) != 1 {
		t.Errorf("%d left, %d sent", left, len(r.all()))
	}
	if _, receipts := b.rows(); len(receipts) != 1 {
		t.Errorf("receipts %q", receipts)
	}
}

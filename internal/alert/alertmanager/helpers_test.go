package alertmanager_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

func post(t *testing.T, url string, body []byte) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v2/alerts", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return resp, err
}

// dead is a store that refuses everything.
type dead struct{}

func (dead) Get(context.Context, string, string) (store.Row, bool, error) {
	return store.Row{}, false, fault.New(fault.Denied, "store", "refused")
}

func (dead) Scan(context.Context, string, string, string, int) ([]store.Row, error) {
	return nil, fault.New(fault.Denied, "store", "refused")
}

func (dead) Apply(context.Context, string, []store.Op) ([]string, error) {
	return nil, fault.New(fault.Denied, "store", "refused")
}

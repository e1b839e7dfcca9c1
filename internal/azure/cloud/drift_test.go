package cloud_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"cmkguard/internal/azure/cloud"
)

// saying answers with a Date.
type saying struct{ date func(host string) string }

func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"Date": {s.date(r.URL.Host)}}, Body: http.NoBody, Request: r}, nil
}

func TestDriftIsThatOfTheNearestClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	ahead := map[string]time.Duration{}
	p, err := cloud.Load("public")
	if err != nil {
		t.Fatal(err)
	}
	d := cloud.NewDrift(func() time.Time { return now })
	p = p.WithDrift(d).WithTransport(saying{func(host string) string {
		if off, ok := ahead[host]; ok {
			return now.Add(off).Format(http.TimeFormat)
		}
		return "yesterday"
	}})
	o := p.ClientOptions(cloud.NoRetry())
	pipeline := runtime.NewPipeline("test", "v1", runtime.PipelineOptions{}, &o)
	call := func(host string) {
		req, err := runtime.NewRequest(context.Background(), http.MethodGet, "https://"+host+"/x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pipeline.Do(req); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, off time.Duration, ok bool) {
		t.Helper()
		if got, _, known := d.Offset(); got != off || known != ok {
			t.Errorf("%s: %s %v, want %s %v", what, got, known, off, ok)
		}
	}
	want("before any answer", 0, false)
	call("management.azure.com")
	want("an answer without a time", 0, false)
	ahead["management.azure.com"], ahead["a.vault.azure.net"] = -10*time.Minute, 7*time.Minute
	call("management.azure.com")
	want("one", -10*time.Minute, true)
	call("a.vault.azure.net")
	call("management.azure.com")
	want("the nearer of two", 7*time.Minute, true)
	ahead["a.vault.azure.net"] = 0
	call("a.vault.azure.net")
	want("a host is its last answer", 0, true)
	now = now.Add(15*time.Minute + time.Second)
	want("long ago", 0, false)
	for n := range 200 { // bounded, and the last is there
		host := fmt.Sprintf("v%d.vault.azure.net", n)
		ahead[host] = time.Hour
		call(host)
	}
	want("many hosts", time.Hour, true)
}

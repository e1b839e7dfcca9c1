package grid_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/messaging"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/grid"
	"cmkguard/internal/fault"
)

const topic = "https://cmk.westeurope-1.eventgrid.azure.net/api/events"

func publish(t *testing.T, status int) (*azuretest.Azure, error) {
	t.Helper()
	a := azuretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { azuretest.JSON(w, status, ``) })
	p, err := cloud.Load(a.Profile)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := p.Credential("")
	if err != nil {
		t.Fatal(err)
	}
	g, err := grid.New(p, topic, cred)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"https://evil.example/api/events", "http://cmk.westeurope-1.eventgrid.azure.net/api/events", "://"} {
		if _, err := grid.New(p, bad, cred); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	e, err := messaging.NewCloudEvent("/cmkguard", "CmkGuard.KeyDeleted", map[string]string{"key": "k"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Publish(context.Background(), nil); err != nil || len(a.Calls()) != 0 {
		t.Errorf("nothing to publish: %v", err)
	}
	return a, g.Publish(context.Background(), []messaging.CloudEvent{e})
}

func TestPublish(t *testing.T) {
	t.Parallel()
	a, err := publish(t, 200)
	if err != nil {
		t.Fatal(err)
	}
	c := a.Calls()[0]
	if c.Method != http.MethodPost || !strings.Contains(c.Header.Get("Content-Type"), "cloudevents") || !strings.Contains(c.Body, "CmkGuard.KeyDeleted") {
		t.Errorf("%+v", c)
	}
}

func TestPublishRefused(t *testing.T) {
	t.Parallel()
	for status, kind := range map[int]fault.Kind{401: fault.Denied, 413: fault.Invalid, 429: fault.Transient} {
		if _, err := publish(t, status); !fault.Is(err, kind) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

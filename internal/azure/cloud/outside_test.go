package cloud_test

import (
	"context"
	"testing"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
)

// A receiver of alerts gets a token for itself, and never one that opens Azure.
func TestTokensForReceiversOfAlerts(t *testing.T) {
	t.Parallel()
	p, err := cloud.Load(azuretest.Serve(t, nil).Profile)
	if err != nil {
		t.Fatal(err)
	}
	for _, ours := range []string{"", "https://vault.azure.net", "https://vault.azure.net/", "https://management.azure.com", "https://management.azure.com/", "https://eventgrid.azure.net", "https://storage.azure.com"} {
		if _, err := p.Outside("", ours); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", ours, err)
		}
	}
	for _, theirs := range []string{"https://monitor.azure.com", "api://11111111-1111-1111-1111-111111111111"} {
		give, err := p.Outside("", theirs)
		if err != nil {
			t.Fatalf("%s: %v", theirs, err)
		}
		if token, err := give(context.Background()); err != nil || token != azuretest.Token {
			t.Errorf("%s: %q %v", theirs, token, err)
		}
	}
}

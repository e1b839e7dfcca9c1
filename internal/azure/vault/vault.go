// Package vault reads and rotates keys over Key Vault's data plane. Every read
// is a fact with its call and time; the one write is RotateKey, sent once.
//
// Data actions: Microsoft.KeyVault/vaults/keys/read and
// .../keyrotationpolicies/read to read, .../keys/rotate/action to rotate. It
// never disables, deletes, purges or changes a key.
package vault

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// Client reads and rotates keys in any vault of one cloud. It is safe for
// concurrent use.
type Client struct {
	cloud azureid.Cloud
	cred  azcore.TokenCredential
	now   func() time.Time
	read  azcore.ClientOptions
	write azcore.ClientOptions

	mu      sync.Mutex
	readers map[string]*azkeys.Client // by host: each remembers its vault's challenge
	writers map[string]*azkeys.Client
}

// New returns a client that acts as cred.
func New(p cloud.Profile, cred azcore.TokenCredential, now func() time.Time) (*Client, error) {
	if cred == nil || now == nil {
		return nil, fault.New(fault.Invalid, "vault.New", "a credential and a clock are needed")
	}
	return &Client{
		cloud: p.Cloud, cred: cred, now: now,
		read: p.ClientOptions(cloud.ReadRetry()), write: p.ClientOptions(cloud.NoRetry()),
		readers: map[string]*azkeys.Client{}, writers: map[string]*azkeys.Client{},
	}, nil
}

// client returns the SDK client of the key's vault, after checking that the
// host is one of the cloud's: nothing is sent to any other.
func (c *Client) client(k azureid.Key, cache map[string]*azkeys.Client, o azcore.ClientOptions) (*azkeys.Client, error) {
	if k.Name == "" {
		return nil, fault.New(fault.Invalid, "vault.client", "no key is named")
	}
	if err := c.cloud.CheckVaultHost(k.Host); err != nil {
		return nil, err
	}
	host := strings.ToLower(k.Host)
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl, ok := cache[host]; ok {
		return cl, nil
	}
	// The challenge must name the vault's own domain: verification stays on.
	cl, err := azkeys.NewClient("https://"+host+"/", c.cred, &azkeys.ClientOptions{ClientOptions: o})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "vault.client", err)
	}
	cache[host] = cl
	return cl, nil
}

func (c *Client) reader(k azureid.Key) (*azkeys.Client, error) { return c.client(k, c.readers, c.read) }

// Rotate makes a new version of k, whatever version k names, and returns it.
// One request is sent, with requestID as x-ms-client-request-id (Key Vault
// logs it as correlationId). A fault of kind Unknown means that the version
// may exist: list the versions before anything else.
func (c *Client) Rotate(ctx context.Context, k azureid.Key, requestID string) (azureid.Key, error) {
	const op = "keyvault.RotateKey"
	cl, err := c.client(k, c.writers, c.write)
	if err != nil {
		return azureid.Key{}, err
	}
	ctx = policy.WithHTTPHeader(ctx, http.Header{"X-Ms-Client-Request-Id": {requestID}})
	resp, err := cl.RotateKey(ctx, k.Name, nil)
	if err != nil {
		return azureid.Key{}, azfault.Write(op, err)
	}
	var kid *azkeys.ID
	if resp.Key != nil {
		kid = resp.Key.KID
	}
	made, err := c.own(k, kid)
	if err != nil || made.Version == "" {
		return azureid.Key{}, fault.New(fault.Unknown, op, "rotated, but the answer names no version of %s: %v", k.ID(), err)
	}
	return made, nil
}

// own parses a key id of an answer and refuses one of another key.
func (c *Client) own(k azureid.Key, kid *azkeys.ID) (azureid.Key, error) {
	const op = "vault.own"
	if kid == nil {
		return azureid.Key{}, fault.New(fault.Invalid, op, "the answer has no key id")
	}
	got, err := azureid.ParseKey(string(*kid), c.cloud)
	if err != nil {
		return azureid.Key{}, err
	}
	if !got.SameKey(k) {
		return azureid.Key{}, fault.New(fault.Invalid, op, "the answer is about %s, not %s", got.ID(), k.ID())
	}
	return got, nil
}

// failed makes a fact of an error: absent when the service said so. That there is
// no vault says nothing of the key: a deleted vault comes back with its keys.
func failed[T any](call string, at time.Time, err error) wiring.Fact[T] {
	err = azfault.Read("keyvault", err)
	if azfault.NotFound(err) && !strings.Contains(strings.ToLower(fault.CodeOf(err)), "vault") {
		return wiring.NotThere[T](call, at, err.Error())
	}
	return wiring.Failed[T](call, at, err.Error())
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

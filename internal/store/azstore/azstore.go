// Package azstore keeps state, queues and logs in Azure Storage: one table, the
// queues by their names, and append blobs in one container. It is what the
// embedded store imitates.
//
// It needs no key: an identity with Storage Table, Queue and Blob Data
// Contributor is enough. It retries nothing that writes: what a lost answer
// came to is settled by reading, above the ports.
package azstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Prefix is what the names in the storage account begin with.
const Prefix = "cmkguard"

// Options say where the account is and who asks.
type Options struct {
	Tables     string // https://ACCOUNT.table.core.windows.net
	Queues     string
	Blobs      string
	Credential azcore.TokenCredential
	// Key is the account's key, for the emulator only: it is refused unless
	// every endpoint is on this machine.
	Key    *SharedKey
	Client azcore.ClientOptions
	// Prefix of table and container; "" is the package's.
	Prefix string
}

func (o Options) prefix() string {
	if o.Prefix == "" {
		return Prefix
	}
	return o.Prefix
}

func (o Options) table() string     { return o.prefix() + "state" }
func (o Options) container() string { return o.prefix() + "-audit" }

// SharedKey is an account's name and key.
type SharedKey struct{ Account, Key string }

// Open returns the backend. Table and container are made if they are not
// there; where the identity may not make them, they must be there already.
func Open(ctx context.Context, o Options) (store.Backend, error) {
	tables, queues, blobs, err := o.clients()
	if err != nil {
		return store.Backend{}, err
	}
	_, err = tables.CreateTable(ctx, nil)
	if err = made("azstore.Open table "+o.table(), err); err != nil {
		return store.Backend{}, err
	}
	_, err = blobs.Create(ctx, nil)
	if err = made("azstore.Open container "+o.container(), err); err != nil {
		return store.Backend{}, err
	}
	return store.Backend{State: &state{tables}, Queue: &queue{queues}, Log: &log{blobs}}, nil
}

func (o Options) clients() (t *aztables.Client, q *azqueue.ServiceClient, b *container.Client, err error) {
	const op = "azstore.Open"
	co := o.Client
	b, err3 := o.blobs(o.container())
	if o.Key == nil {
		ts, err1 := aztables.NewServiceClient(o.Tables, o.Credential, &aztables.ClientOptions{ClientOptions: co})
		q, err2 := azqueue.NewServiceClient(o.Queues, o.Credential, &azqueue.ClientOptions{ClientOptions: co})
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, nil, nil, fault.Wrap(fault.Invalid, op, err)
		}
		return ts.NewClient(o.table()), q, b, nil
	}
	if err := errors.Join(o.onThisMachine(o.Tables, o.Queues), err3); err != nil {
		return nil, nil, nil, err
	}
	tk, err1 := aztables.NewSharedKeyCredential(o.Key.Account, o.Key.Key)
	qk, err2 := azqueue.NewSharedKeyCredential(o.Key.Account, o.Key.Key)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, nil, fault.Wrap(fault.Invalid, op, err)
	}
	ts, err1 := aztables.NewServiceClientWithSharedKey(o.Tables, tk, &aztables.ClientOptions{ClientOptions: co})
	q, err2 = azqueue.NewServiceClientWithSharedKeyCredential(o.Queues, qk, &azqueue.ClientOptions{ClientOptions: co})
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, nil, fault.Wrap(fault.Invalid, op, err)
	}
	return ts.NewClient(o.table()), q, b, nil
}

// blobs returns the client of one container.
func (o Options) blobs(name string) (*container.Client, error) {
	const op = "azstore.Open"
	where, co := o.Blobs+"/"+name, &container.ClientOptions{ClientOptions: o.Client}
	if o.Key == nil {
		c, err := container.NewClient(where, o.Credential, co)
		return c, fault.Wrap(fault.Invalid, op, err)
	}
	if err := o.onThisMachine(o.Blobs); err != nil {
		return nil, err
	}
	key, err := container.NewSharedKeyCredential(o.Key.Account, o.Key.Key)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	c, err := container.NewClientWithSharedKeyCredential(where, key, co)
	return c, fault.Wrap(fault.Invalid, op, err)
}

// onThisMachine refuses to send an account's key anywhere else.
func (o Options) onThisMachine(urls ...string) error {
	for _, u := range urls {
		if !onLoopback(u) {
			return fault.New(fault.Invalid, "azstore.Open", "a shared key is for the emulator on this machine; %s is not: use an identity", u)
		}
	}
	return nil
}

func onLoopback(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// made takes the error of making something that may be there: that, or that we
// may not make it, is fine, and what is really missing shows at its first use.
func made(op string, err error) error {
	if status, _ := answered(err); err == nil || status == http.StatusConflict || status == http.StatusForbidden {
		return nil
	}
	return azfault.Write(op, err)
}

// answered returns the status and the code of a service's answer, or 0.
func answered(err error) (status int, code string) {
	var re *azcore.ResponseError
	if !errors.As(err, &re) {
		return 0, ""
	}
	return re.StatusCode, re.ErrorCode
}

// once switches the SDK's retries off: a second try of a write whose answer was
// lost is told that its condition does not hold, which hides that it landed.
func once(ctx context.Context) context.Context {
	return policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1})
}

// again is the SDK's retries for reads, within an invocation's patience.
func again(ctx context.Context) context.Context {
	return policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: 3, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 3 * time.Second})
}

func conflict(op, format string, args ...any) error {
	return fault.New(fault.Conflict, op, "%s", fmt.Sprintf(format, args...))
}

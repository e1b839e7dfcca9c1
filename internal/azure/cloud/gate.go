package cloud

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"cmkguard/internal/fault"
	"cmkguard/internal/limit"
)

// Gate bounds how often services are called, all instances together
// (limit.Limiter).
type Gate interface {
	// Take takes one call; a wait above zero means that it was not taken.
	Take(ctx context.Context, bucket string, r limit.Rate) (wait time.Duration)
	// Shut lets nobody take for d.
	Shut(ctx context.Context, bucket string, d time.Duration)
}

const (
	// waitHere is how long a call waits for its turn, unless WithPatience says
	// otherwise; a longer wait is the caller's, by a Transient fault that says how
	// long.
	waitHere = 2 * time.Second
	// nap is how long a waiting call sleeps before it asks again: others may have
	// taken its turn, and a simulated clock may run ahead of this machine's.
	nap = 500 * time.Millisecond
	// unsaid is how long a service that said 429 without Retry-After is left
	// alone (Key Vault's documents promise no header).
	unsaid = 10 * time.Second
)

// WithGate returns a profile whose clients call services through the gate.
func (p Profile) WithGate(g Gate) Profile {
	p.gate = g
	return p
}

// WithPatience returns a profile whose calls wait up to d for their turn: for a
// command line, which has nobody to hand the wait to.
func (p Profile) WithPatience(d time.Duration) Profile {
	p.patience = d
	return p
}

// WithTransport returns a profile whose calls are carried by rt instead of the
// network: a simulated Azure of the same process.
func (p Profile) WithTransport(rt http.RoundTripper) Profile {
	p.transport = rt
	return p
}

// gatePolicy takes every try of a request from its service's bucket.
type gatePolicy struct {
	p Profile
	g Gate
}

// Do implements policy.Policy.
func (gp gatePolicy) Do(r *policy.Request) (*http.Response, error) {
	ctx := r.Raw().Context()
	bucket, rate := gp.bucket(r.Raw())
	if err := gp.wait(ctx, bucket, rate); err != nil {
		return nil, err
	}
	resp, err := r.Next()
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		gp.g.Shut(ctx, bucket, retryAfter(resp.Header))
	case resp.Header.Get("x-ms-user-quota-remaining") == "0":
		if d, ok := clockDuration(resp.Header.Get("x-ms-user-quota-resets-after")); ok {
			gp.g.Shut(ctx, bucket, d)
		}
	}
	return resp, nil
}

func (gp gatePolicy) wait(ctx context.Context, bucket string, rate limit.Rate) error {
	patience := max(waitHere, gp.p.patience)
	wait := gp.g.Take(ctx, bucket, rate)
	for wait > 0 && wait <= patience {
		d := min(wait, nap)
		t := time.NewTimer(d)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		patience -= d
		wait = gp.g.Take(ctx, bucket, rate)
	}
	if wait <= 0 {
		return nil
	}
	return &fault.Error{Op: "cloud.gate", Kind: fault.Transient, Code: "NotSent", RetryAfter: wait, Err: errHeld{bucket, wait}}
}

// errHeld says that a call was not sent, so that its service is not overrun.
type errHeld struct {
	bucket string
	wait   time.Duration
}

func (e errHeld) Error() string {
	return "not sent: the rate of " + e.bucket + " is used up for " + e.wait.Round(time.Second).String()
}

// NonRetriable tells the SDK that trying again at once is of no use.
func (errHeld) NonRetriable() {}

// bucket returns the service's bucket and the share of its limit that is ours;
// others call it too.
func (gp gatePolicy) bucket(r *http.Request) (string, limit.Rate) {
	host := strings.ToLower(r.URL.Hostname())
	switch {
	case host != hostOf(gp.p.ARM):
		// Key Vault allows 250 operations per 10 seconds and vault for the dearest
		// of keys, RSA-4096 in an HSM (learn.microsoft.com key-vault/general/service-limits).
		return host, limit.Rate{Calls: 200, Per: 10 * time.Second}
	case strings.HasPrefix(strings.ToLower(r.URL.Path), "/providers/microsoft.resourcegraph/"):
		// About 15 queries per 5 seconds and user (learn.microsoft.com
		// governance/resource-graph/concepts/guidance-for-throttled-requests).
		return "resource-graph", limit.Rate{Calls: 15, Per: 5 * time.Second}
	}
	// Resource Manager refills 25 reads per second and subscription (learn.microsoft.com
	// azure-resource-manager/management/request-limits-and-throttling).
	return "resource-manager" + subscription(r.URL.Path), limit.Rate{Calls: 100, Per: 10 * time.Second}
}

// subscription is "/" and the id of the subscription that a path lies in, in
// lower case; "" for one that lies in none.
func subscription(path string) string {
	rest, ok := strings.CutPrefix(strings.ToLower(path), "/subscriptions/")
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(rest, "/")
	return "/" + id
}

func retryAfter(h http.Header) time.Duration {
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	return unsaid
}

// clockDuration reads hh:mm:ss.
func clockDuration(s string) (time.Duration, bool) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return 0, false
	}
	d, err := time.ParseDuration(parts[0] + "h" + parts[1] + "m" + parts[2] + "s")
	return d, err == nil && d > 0
}

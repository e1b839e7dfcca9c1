package cloud

import (
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	// driftHosts is how many hosts are remembered: if one service's clock is wrong the
	// others' are not.
	driftHosts = 64
	// driftFor is how long one answer counts: what is older may be of before our clock
	// went wrong.
	driftFor = 15 * time.Minute
)

// Drift compares our clock with the services': each answer says when it was made
// (the Date header, RFC 9110 section 6.6.1). It is safe for concurrent use.
type Drift struct {
	now func() time.Time

	mu   sync.Mutex
	last map[string]drift // by host
}

type drift struct {
	at  time.Time // by our clock
	off time.Duration
}

// NewDrift returns a Drift of the clock.
func NewDrift(now func() time.Time) *Drift { return &Drift{now: now} }

// Offset returns how far the services' clocks are ahead of ours: of the hosts that
// answered within the last quarter of an hour, the one that is nearest to us. ok is
// false if none did.
func (d *Drift) Offset() (off time.Duration, at time.Time, ok bool) {
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.last {
		if now.Sub(one.at).Abs() <= driftFor && (!ok || one.off.Abs() < off.Abs()) {
			off, at, ok = one.off, one.at, true
		}
	}
	return off, at, ok
}

// note compares one answer. Its Date has whole seconds, and it has been under way.
func (d *Drift) note(host string, h http.Header) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil || len(d.last) >= driftHosts {
		d.last = map[string]drift{}
	}
	d.last[host] = drift{now, date.Sub(now)}
}

// WithDrift returns a profile whose clients compare our clock with the services'.
func (p Profile) WithDrift(d *Drift) Profile {
	p.drift = d
	return p
}

// driftPolicy looks at each answer.
type driftPolicy struct{ d *Drift }

// Do implements policy.Policy.
func (dp driftPolicy) Do(r *policy.Request) (*http.Response, error) {
	resp, err := r.Next()
	if err == nil {
		dp.d.note(r.Raw().URL.Host, resp.Header)
	}
	return resp, err
}

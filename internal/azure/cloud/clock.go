package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const clockTimeout = 2 * time.Second

// Clock returns the process's clock: the wall clock, or the profile's clock
// URL, asked on every call. When the URL does not answer, time goes on from
// its last answer by this machine's monotonic clock; before the first answer
// it is the wall clock.
func (p Profile) Clock() func() time.Time {
	if p.ClockURL == "" {
		return time.Now
	}
	c := &clock{url: p.ClockURL, client: p.HTTPClient(), wall: time.Now}
	return c.now
}

type clock struct {
	url    string
	client *http.Client
	wall   func() time.Time

	mu   sync.Mutex
	last time.Time // the URL's last answer
	at   time.Time // when it came, with the monotonic reading
}

func (c *clock) now() time.Time {
	t, err := c.ask()
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.wall()
	if err == nil {
		c.last, c.at = t, at
		return t
	}
	if c.at.IsZero() {
		return at
	}
	return c.last.Add(at.Sub(c.at))
}

// ask reads the time: RFC 3339 as text, as a JSON string, or as {"now": ...}.
func (c *clock) ask() (time.Time, error) {
	ctx, cancel := context.WithTimeout(context.Background(), clockTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return time.Time{}, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return time.Time{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return time.Time{}, fmt.Errorf("cloud.Clock: HTTP %d", resp.StatusCode)
	}
	return parseClock(raw)
}

func parseClock(raw []byte) (time.Time, error) {
	s := strings.TrimSpace(string(raw))
	var object struct {
		Now string `json:"now"`
	}
	if json.Unmarshal(raw, &object) == nil {
		s = object.Now
	} else {
		s = strings.Trim(s, `"`)
	}
	return time.Parse(time.RFC3339Nano, s)
}

package guard

import (
	"hash/fnv"
	"time"
)

// backoff is the pause before try n (from 1) of what name says: 5 s doubled up to 10
// minutes, or least if that is longer (what a service asked for), and up to half as
// much again, five minutes at most. How much is the name's and the try's alone: of sixty that one refusal
// put back not all come again in the same second, only to be refused again, and the
// same run twice comes to the same.
func backoff(n int, least time.Duration, name string) time.Duration {
	d := 5 * time.Second
	for range min(n-1, 7) {
		d *= 2
	}
	d = max(min(d, 10*time.Minute), least)
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	_, _ = h.Write([]byte{byte(n)})
	return d + time.Duration(h.Sum64()%uint64(min(d/2, 5*time.Minute)))
}

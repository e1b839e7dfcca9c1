package hostproc

import (
	"fmt"
	"os"
	"time"
)

// Pace lets a simulated world's time pass no faster than the handlers in it can follow:
// while one works, what it read would grow too old to be judged, and its messages would
// come again before it is through. How busy the machine is then changes how long a story
// takes, and not how it ends.
type Pace struct {
	Calls   func() int // how often the simulated Azure was asked
	State   string     // the directory of the embedded store
	Advance func(time.Duration)
	Step    time.Duration // of the world's time
	Least   time.Duration // of the wall's time, for a step

	seen string // of the handlers' work, at the last look
	last time.Time
}

// Tick lets a step of time pass if the handlers are at rest, as far as can be seen from
// outside: since the last call they neither asked Azure nor wrote to their store.
func (p *Pace) Tick() (passed bool) {
	if !p.rest() || time.Since(p.last) < p.Least {
		return false
	}
	p.Advance(p.Step)
	p.last = time.Now()
	return true
}

func (p *Pace) rest() bool {
	seen := fmt.Sprint(p.Calls())
	files, err := os.ReadDir(p.State)
	for _, f := range files {
		if i, err := f.Info(); err == nil {
			seen += fmt.Sprint(f.Name(), i.ModTime().UnixNano(), i.Size())
		}
	}
	same := err == nil && seen == p.seen
	p.seen = seen
	return same
}

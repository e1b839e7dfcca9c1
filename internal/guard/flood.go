package guard

import (
	"sync"
	"time"
)

// Budgets of one process for one minute of a vault's log. Anybody who may send to
// the hub can send as much as the hub takes; that must cost neither memory nor
// money, and hide nothing.
const (
	floodWindow  = time.Minute
	vaultBudget  = 100  // signals of one vault, each a look at one key
	totalBudget  = 1000 // of all vaults
	useBudget    = 300  // new rows of claimed use
	poisonBudget = 10   // alerts about input of one source that was kept
	maxOnce      = 20_000
)

// width is how wide a look a signal leads to.
type width int

const (
	narrow width = iota // its own subject
	wider               // its vault
	widest              // everything in scope
)

// flood counts what came in this minute. All of it is bounded by the budgets, and
// a process that restarts begins a new minute.
type flood struct {
	mu     sync.Mutex
	minute time.Time
	vaults map[string]int
	total  int
	uses   int
	told   map[string]int
	once   map[string]bool // what was written already, for longer than a minute
}

func (f *flood) turn(now time.Time) {
	if m := now.Truncate(floodWindow); !m.Equal(f.minute) || f.vaults == nil {
		f.minute, f.total, f.uses = m, 0, 0
		f.vaults, f.told = map[string]int{}, map[string]int{}
	}
	if f.once == nil || len(f.once) >= maxOnce {
		f.once = map[string]bool{} // writes a few again; the store knows them
	}
}

// width counts a signal of the vault and says how it is to be taken.
func (f *flood) width(vault string, now time.Time) width {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn(now)
	if f.total >= totalBudget {
		return widest
	}
	f.total++
	if f.vaults[vault]++; f.vaults[vault] > vaultBudget {
		f.total-- // a vault over its own budget uses up nobody else's
		return wider
	}
	return narrow
}

// tell reports whether one more alert about kept input of the source may leave.
func (f *flood) tell(source string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn(now)
	if len(f.told) >= totalBudget {
		return false
	}
	f.told[source]++
	return f.told[source] <= poisonBudget
}

// first reports whether id is new; it forgets in time.
func (f *flood) first(id string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn(now)
	if f.once[id] {
		return false
	}
	f.once[id] = true
	return true
}

// noteUse reports whether the row of claimed use is new and within the budget.
func (f *flood) noteUse(id string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn(now)
	if f.once[id] || f.uses >= useBudget {
		return false
	}
	f.uses++
	f.once[id] = true
	return true
}

func (f *flood) forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.once, id)
}

// Package guard is the one path: signal -> wiring -> verdicts -> incidents ->
// plan -> remedy -> alerts -> record. Each call does one bounded piece of it
// and can be repeated; what is left goes through the queue.
//
// It starts no goroutine, knows no host, and calls Azure only through its
// ports.
package guard

import (
	"context"
	"sync/atomic"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/journal"
	"cmkguard/internal/policy"
	"cmkguard/internal/remedy"
	"cmkguard/internal/remedy/rewire"
	"cmkguard/internal/remedy/rotate"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// WorkQueue is the queue that `work` is triggered by.
const WorkQueue = "cmkguard-work"

// Survey reads live state; facts are shared within one survey.
type Survey interface {
	Wiring(ctx context.Context, cluster azureid.Resource) wiring.Wiring
	// Peers lists the other members of the cluster's geo-replication groups.
	Peers(ctx context.Context, cluster azureid.Resource) wiring.Fact[[]wiring.Peer]
	// Ears adds what would tell us of the wiring's vault; topic is the system topic
	// that it should have, or zero.
	Ears(ctx context.Context, w wiring.Wiring, topic azureid.Resource) wiring.Wiring
	Sight
	Listening
	Reach
	Ahead
}

// Sight says what we ourselves may.
type Sight interface {
	// Sights says for each watched subscription whether all of it can be seen.
	Sights(ctx context.Context) []wiring.Sight
	// Hands says what a principal lacks of what it needs over all clusters.
	Hands(ctx context.Context, principal string, by wiring.HandsJudge) wiring.Fact[wiring.Hands]
	// Rivals lists who else holds a role whose name begins so.
	Rivals(ctx context.Context, role, principal string) wiring.Fact[[]wiring.Rival]
}

// Reach maps a subject back to the clusters that it touches.
type Reach interface {
	Consumers(ctx context.Context, k azureid.Key) wiring.Consumers
	// ClustersOfVault lists the clusters whose key lives in the vault;
	// complete as in wiring.Consumers.
	ClustersOfVault(ctx context.Context, vault azureid.Resource) (clusters []wiring.Cluster, complete bool, why string)
	// Keyed lists every cluster with a key of its own, with its key and not read
	// again; complete as in wiring.Consumers.
	Keyed(ctx context.Context) (clusters []wiring.Cluster, complete bool, why string)
}

// Recorder writes state and record in one batch and keeps the agenda of
// partitions with something left to do (journal.Recorder).
type Recorder interface {
	Commit(ctx context.Context, partition string, entries []journal.Entry, ops ...store.Op) error
	Each(ctx context.Context, fn func(journal.Mark) error) error
	Strike(ctx context.Context, m journal.Mark, left func(ctx context.Context, partition string) (bool, error)) error
}

// Dispatcher delivers a partition's outbox, and tells people directly where
// nothing can be stored (alert.Dispatcher).
type Dispatcher interface {
	Dispatch(ctx context.Context, partition string) (left int, next time.Time, err error)
	Direct(ctx context.Context, a alert.Alert, channels []string) []error
}

// Sequencer folds pending entries into the log (journal.Sequencer).
type Sequencer interface {
	Fold(ctx context.Context) (journal.Checkpoint, error)
}

// Guard is the path with its parts. All fields are required but Observe and Watcher. It is
// used by its pointer.
type Guard struct {
	Cloud     azureid.Cloud
	Policy    *policy.Policy
	Observe   string // not empty: change nothing, and why
	CanWrite  bool   // a remediator credential is configured
	State     store.State
	Queue     store.Queue
	Rec       Recorder
	Alerts    Dispatcher
	Seal      Sequencer
	Survey    func() Survey
	Vault     rotate.Vault
	Clusters  rewire.Clusters
	Effects   *remedy.Runner
	Repairs   map[string]RepairMaker // by the kind of step; what is not here is not done
	PublicURL string                 // base of links in alerts; "": no links
	Ourselves []string               // client ids of our own identities: what logs say that they were refused, we know
	People    approval.Seal          // seals what people decide
	// Refresh sends again, after each sweep, what is open at receivers of alerts that
	// take silence for the end; nil: there are none.
	Refresh func(ctx context.Context)
	// Reconcile is how often every key is looked at, event or no event; 0: never.
	Reconcile time.Duration
	Watcher   Watcher       // nil: there is none
	PingEvery time.Duration // how often the Watcher wants to hear of us
	Watch     Watch         // of ourselves
	Letters   Letters       // what Event Grid gave up
	Now       func() time.Time
	NewID     func() string

	drill   drilling
	dark    dark
	flood   flood
	known   known
	beats   pulse
	turns   atomic.Int64 // reconciles of this process
	roster  roster
	witness witness
}

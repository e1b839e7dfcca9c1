package guard_test

import (
	"context"
	"sync"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/remedy/rewire"
	"cmkguard/internal/remedy/rotate"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// errKilled is what a killed process panics with.
type errKilled struct{}

// how says what became of the call at which the process was killed.
type how string

const (
	lost   how = "without effect"
	landed how = "took effect"
	late   how = "takes effect late"
)

// killer kills a process at its n-th call of a port, and lets nothing of it
// through afterwards: what deferred functions try then has no effect either.
type killer struct {
	mu    sync.Mutex
	calls []string // what was called, so that the points can be told apart
	at    int      // the call to die at, from 1; 0: live
	how   how
	dead  bool
	late  func(do func())
	ended int // calls until the story was told
}

// call runs do as one external call.
func (k *killer) call(name string, do func()) {
	k.mu.Lock()
	dead := k.dead
	if !dead {
		k.calls = append(k.calls, name)
	}
	now := !dead && len(k.calls) == k.at
	k.dead = dead || now
	k.mu.Unlock()
	if now {
		switch {
		case k.how == landed:
			do()
		case k.how == late && k.late != nil:
			k.late(do)
		}
	}
	if dead || now {
		panic(errKilled{})
	}
	do()
}

type killState struct {
	k *killer
	s store.State
}

func (s killState) Get(ctx context.Context, p, key string) (row store.Row, ok bool, err error) {
	s.k.call("state.Get", func() { row, ok, err = s.s.Get(ctx, p, key) })
	return row, ok, err
}

func (s killState) Scan(ctx context.Context, p, from, to string, n int) (rows []store.Row, err error) {
	s.k.call("state.Scan", func() { rows, err = s.s.Scan(ctx, p, from, to, n) })
	return rows, err
}

func (s killState) Apply(ctx context.Context, p string, ops []store.Op) (etags []string, err error) {
	s.k.call("state.Apply", func() { etags, err = s.s.Apply(ctx, p, ops) })
	return etags, err
}

type killQueue struct {
	k *killer
	q store.Queue
}

func (q killQueue) Put(ctx context.Context, name string, body []byte, d time.Duration) (err error) {
	q.k.call("queue.Put", func() { err = q.q.Put(ctx, name, body, d) })
	return err
}

func (q killQueue) Take(ctx context.Context, name string, n int, d time.Duration) (ms []store.Message, err error) {
	q.k.call("queue.Take", func() { ms, err = q.q.Take(ctx, name, n, d) })
	return ms, err
}

func (q killQueue) Done(ctx context.Context, name string, m store.Message) (err error) {
	q.k.call("queue.Done", func() { err = q.q.Done(ctx, name, m) })
	return err
}

type killLog struct {
	k *killer
	l store.Log
}

func (l killLog) Append(ctx context.Context, name string, at int64, b []byte) (err error) {
	l.k.call("log.Append", func() { err = l.l.Append(ctx, name, at, b) })
	return err
}

func (l killLog) Read(ctx context.Context, name string, from int64, n int) (b []byte, err error) {
	l.k.call("log.Read", func() { b, err = l.l.Read(ctx, name, from, n) })
	return b, err
}

func (l killLog) Size(ctx context.Context, name string) (n int64, blocks int, err error) {
	l.k.call("log.Size", func() { n, blocks, err = l.l.Size(ctx, name) })
	return n, blocks, err
}

type killVault struct {
	k *killer
	rotate.Vault
}

func (v killVault) Versions(ctx context.Context, key azureid.Key) (f wiring.Fact[[]wiring.KeyVersion]) {
	v.k.call("vault.Versions", func() { f = v.Vault.Versions(ctx, key) })
	return f
}

func (v killVault) Rotate(ctx context.Context, key azureid.Key, id string) (made azureid.Key, err error) {
	v.k.call("vault.Rotate", func() { made, err = v.Vault.Rotate(ctx, key, id) })
	return made, err
}

type killClusters struct {
	k *killer
	rewire.Clusters
}

func (c killClusters) Get(ctx context.Context, id azureid.Resource) (f wiring.Fact[wiring.Cluster]) {
	c.k.call("cluster.Get", func() { f = c.Clusters.Get(ctx, id) })
	return f
}

func (c killClusters) Rewire(ctx context.Context, cl wiring.Cluster, to azureid.Key, id string) (token string, err error) {
	c.k.call("cluster.Rewire", func() { token, err = c.Clusters.Rewire(ctx, cl, to, id) })
	return token, err
}

func (c killClusters) Poll(ctx context.Context, token string) (done bool, err error) {
	c.k.call("cluster.Poll", func() { done, err = c.Clusters.Poll(ctx, token) })
	return done, err
}

type killChannel struct {
	k *killer
	c alert.Channel
}

func (c killChannel) Send(ctx context.Context, a alert.Alert) (id string, err error) {
	c.k.call("channel.Send", func() { id, err = c.c.Send(ctx, a) })
	return id, err
}

// effects are the calls that change something outside of our state.
func isEffect(call string) bool {
	return call == "vault.Rotate" || call == "cluster.Rewire" || call == "repair.Act"
}

func isWrite(call string) bool {
	switch call {
	case "state.Apply", "queue.Put", "queue.Take", "queue.Done", "log.Append", "channel.Send":
		return true
	}
	return isEffect(call)
}

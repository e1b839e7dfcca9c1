package alert

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

// What is told together lies in a partition of its channel. A delivery that waits for
// others stays in its own outbox, and has a row there that names it: a member. When
// its time has come, one batch writes the message about several (a digest) into that
// partition's outbox and marks the members as taken. Each delivery is folded only
// when it reads that the digest was sent. Who wants a delivery back, because it healed
// or a later one stands for it, takes its row first, by compare-and-swap; if it was
// taken by then, it counts as told.

const (
	gatherKind   = "gather"
	memberPrefix = "member~"
	streamPrefix = "stream~"
	// gatheredFor is how long members that are over and digests that were sent are
	// kept: who did not look for so long tells once more.
	gatheredFor = 48 * time.Hour
	// maxTogether is how many deliveries one digest stands for.
	maxTogether = 50
	// blindFor is how long a delivery waits for a partition that cannot be read.
	blindFor = time.Minute
)

// GatherPartition is the partition of what is told together on a channel.
func GatherPartition(channel string) string { return store.Name(gatherKind, channel) }

// Gathers reports whether the partition is one of what is told together.
func Gathers(partition string) bool { return strings.HasPrefix(partition, gatherKind+"~") }

// Stream is messages of one channel that are told together: a group of the policy, or
// a storm.
type Stream struct {
	Key     string        `json:"key"`
	Channel string        `json:"channel"`
	Name    string        `json:"name"`            // of a group, as half a sentence: "vault kv-shop"
	Wait    time.Duration `json:"wait"`            // from its first member on, ns
	Every   time.Duration `json:"every"`           // least time between two messages, ns
	Storm   *Tempest      `json:"storm,omitempty"` // nil: a group
}

// Tempest is what a stream of a storm knows of it.
type Tempest struct {
	ID       string        `json:"id"`
	Since    time.Time     `json:"since"`
	More     int           `json:"more"`
	Within   time.Duration `json:"within"`             // ns
	Critical bool          `json:"critical,omitempty"` // of what is critical
	Keeps    bool          `json:"keeps,omitempty"`    // the receiver keeps it as an incident, which has to end
}

// id names the stream for receivers: it is stable, so that its messages belong together.
func (s Stream) id() string {
	switch {
	case s.Storm == nil:
		return store.Name("group", s.Key)
	case s.Storm.Critical:
		return s.Storm.ID + "/critical"
	}
	return s.Storm.ID
}

// keeps reports whether the receiver keeps the stream as an incident.
func (s Stream) keeps() bool { return s.Storm != nil && s.Storm.Keeps }

// most is how many one digest stands for. Everything critical is named.
func (s Stream) most() int {
	if s.Storm != nil && s.Storm.Critical {
		return MaxMembers
	}
	return maxTogether
}

// Gathered says with what a delivery waits to be told, and since when.
type Gathered struct {
	Partition string    `json:"partition"`
	Stream    Stream    `json:"stream"`
	Since     time.Time `json:"since"`
}

type memberState string

const (
	memberWaits     memberState = "waits"
	memberTaken     memberState = "taken"     // by the digest Into
	memberAlone     memberState = "alone"     // it is told by itself
	memberWithdrawn memberState = "withdrawn" // others of its incident stand for it, or it is held again
)

// member is the row of a delivery that waits for others.
type member struct {
	Schema    int         `json:"schema"`
	State     memberState `json:"state"`
	Stream    Stream      `json:"stream"`
	Partition string      `json:"partition"` // where the delivery lies
	Delivery  string      `json:"delivery"`  // its id
	At        time.Time   `json:"at"`        // when it was announced
	Into      string      `json:"into,omitempty"`
	Brief     brief       `json:"brief"`
	etag      string
}

// brief is what a digest says of a member.
type brief struct {
	Member
	Made    time.Time  `json:"made"` // when the alert was made
	Check   string     `json:"check,omitempty"`
	Vault   string     `json:"vault,omitempty"`
	Breaks  string     `json:"breaks,omitempty"`
	By      *time.Time `json:"by,omitempty"`
	ByMeans string     `json:"byMeans,omitempty"`
	Impact  []Impact   `json:"impact,omitempty"`
	// MoreImpact counts the clusters beyond the list.
	MoreImpact int `json:"moreImpact,omitempty"`
}

const briefImpact = 5

func briefOf(a Alert) brief {
	b := brief{
		Member: Member{ID: a.ID, DedupKey: a.DedupKey, Lifecycle: a.Lifecycle, Severity: a.Severity, Title: a.Title, Subject: a.Subject},
		Made:   a.At, Check: a.Check, Vault: a.Vault, Breaks: Clean(a.Breaks, shortText), By: a.By, ByMeans: a.ByMeans,
	}
	if a.DryRun {
		b.Title = "[DRY RUN] " + b.Title
	}
	b.MoreImpact = a.MoreImpact + max(0, len(a.Impact)-briefImpact)
	for _, i := range a.Impact[:min(len(a.Impact), briefImpact)] {
		b.Impact = append(b.Impact, Impact{Cluster: i.Cluster, Name: i.Name, Owner: i.Owner})
	}
	return b
}

// problem reports whether it tells of something that is wrong, and not of its end.
func (b brief) problem() bool { return b.Lifecycle != Resolve && b.Lifecycle != Acknowledge }

func memberKey(delivery string) string { return store.Name("member", delivery) }

func (m member) op() store.Op {
	op := store.Op{Kind: store.Insert, Key: memberKey(m.Delivery), Value: encode(m)}
	if m.etag != "" {
		op.Kind, op.ETag = store.Replace, m.etag
	}
	return op
}

// streamState is the row of a stream: what was told of it.
type streamState struct {
	Schema int       `json:"schema"`
	Key    string    `json:"key"`
	Last   time.Time `json:"last,omitzero"` // of the last message
	Count  int       `json:"count,omitempty"`
	// Open: the receiver keeps an incident of it that has not ended.
	Open bool   `json:"open,omitempty"`
	As   Stream `json:"as"`
	etag string
}

func streamKey(key string) string { return store.Name("stream", key) }

func (s streamState) op() store.Op {
	op := store.Op{Kind: store.Insert, Key: streamKey(s.Key), Value: encode(s)}
	if s.etag != "" {
		op.Kind, op.ETag = store.Replace, s.etag
	}
	return op
}

// readMember reads the row of one delivery.
func (d *Dispatcher) readMember(ctx context.Context, partition, delivery string) (m member, ok bool, err error) {
	row, ok, err := d.state.Get(ctx, partition, memberKey(delivery))
	if err != nil || !ok {
		return m, false, err
	}
	if err := json.Unmarshal(row.Value, &m); err != nil {
		return m, false, fault.New(fault.Invalid, "alert.readMember", "%s/%s: %w", partition, row.Key, err)
	}
	m.etag = row.ETag
	return m, true, nil
}

// readStream reads what was told of a stream; one that cannot be understood begins
// afresh.
func (d *Dispatcher) readStream(ctx context.Context, partition, key string) (streamState, error) {
	row, ok, err := d.state.Get(ctx, partition, streamKey(key))
	s := streamState{Schema: 1, Key: key}
	if err != nil || !ok {
		return s, err
	}
	if json.Unmarshal(row.Value, &s) != nil {
		s = streamState{Schema: 1, Key: key}
	}
	s.etag = row.ETag
	return s, nil
}

// gathering is what a partition of what is told together holds.
type gathering struct {
	members []member // in the order in which they were announced
	streams map[string]streamState
	damaged []error
}

func readGathering(ctx context.Context, state store.State, partition string) (g gathering, err error) {
	g.streams = map[string]streamState{}
	err = eachRow(ctx, state, partition, memberPrefix, func(row store.Row) {
		var m member
		if err := json.Unmarshal(row.Value, &m); err != nil {
			g.damaged = append(g.damaged, fault.New(fault.Invalid, "alert.readGathering", "%s/%s: %w", partition, row.Key, err))
			return
		}
		m.etag = row.ETag
		g.members = append(g.members, m)
	})
	if err != nil {
		return g, err
	}
	slices.SortStableFunc(g.members, func(a, b member) int { return a.At.Compare(b.At) })
	return g, eachRow(ctx, state, partition, streamPrefix, func(row store.Row) {
		var s streamState
		if json.Unmarshal(row.Value, &s) == nil {
			s.etag = row.ETag
			g.streams[s.Key] = s
		}
	})
}

// eachRow calls fn for the partition's rows of the prefix.
func eachRow(ctx context.Context, state store.State, partition, prefix string, fn func(store.Row)) error {
	for from := prefix; ; {
		rows, err := state.Scan(ctx, partition, from, prefix+"~", page)
		if err != nil {
			return err
		}
		for _, row := range rows {
			fn(row)
		}
		if len(rows) < page {
			return nil
		}
		from = rows[len(rows)-1].Key + "-"
	}
}

// Waiting reports whether anything in the partition waits to be told with others.
func Waiting(ctx context.Context, state store.State, partition string) (bool, error) {
	g, err := readGathering(ctx, state, partition)
	return slices.ContainsFunc(g.members, func(m member) bool { return m.State == memberWaits }), err
}

// MayWait reports whether an alert may wait to be told with others at all: what is
// critical, or of no known severity, is told at once; a test, an exercise and what
// could not be recorded are each for themselves.
func MayWait(a Alert) bool {
	r := a.Severity.Rank()
	return r > 0 && r < risk.Critical.Rank() && !a.apart()
}

// apart reports whether it is for itself alone, in a storm as well.
func (a Alert) apart() bool { return a.Test || a.Drill || a.Unrecorded }

// together reports whether a delivery may wait for a group.
func (n Notification) together() bool { return n.single() && MayWait(n.Alert) && n.StandsInFor == "" }

// single reports whether it is an alert like any other, and no digest.
func (n Notification) single() bool { return n.Stands == 0 && !n.Alert.apart() }

// Package store holds the ports through which everything durable goes, in the
// semantics of Azure Storage: Table transactions for State, Storage queues for
// Queue, append blobs for Log. The embedded adapters imitate them and refuse
// what Azure would refuse, so that what works on a laptop works there.
//
// No operation spans two ports or two partitions. It is not a database layer:
// there is no query but a range of one partition.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"cmkguard/internal/fault"
)

// Limits of Azure Storage that every adapter enforces: Table entity group
// transactions hold 100 operations and 4 MiB of request, in which values stand
// as base64; queue messages 48 KiB after base64, hidden for 7 days at most; an
// append blob has 50,000 blocks of at most 4 MiB.
const (
	MaxBatchOps     = 100
	MaxBatchBytes   = 5 << 19 // 2.5 MiB, which is 3.4 MiB in base64
	MaxValueBytes   = 512 << 10
	MaxKeyBytes     = 512
	MaxMessageBytes = 48 << 10
	MaxDelay        = 7 * 24 * time.Hour
	MaxAppendBytes  = 4 << 20
	MaxBlocks       = 50_000
)

// Row is one stored value. ETag changes with every write of the row and is
// opaque.
type Row struct {
	Partition string
	Key       string
	Value     []byte
	ETag      string
}

// OpKind is what an Op does.
type OpKind uint8

// The operations. There is deliberately no blind write.
const (
	// Insert fails with Conflict if the row is present.
	Insert OpKind = iota + 1
	// Replace fails with Conflict unless the row is present with the ETag.
	Replace
	// Delete fails with Conflict unless the row is present with the ETag.
	Delete
)

// Op is one operation of a batch.
type Op struct {
	Kind  OpKind
	Key   string
	Value []byte // not for Delete
	ETag  string // not for Insert
}

// State is rows in partitions. Partition and row keys are 1 to MaxKeyBytes
// bytes of [A-Za-z0-9~._-]; anything else is Invalid.
type State interface {
	// Get returns the row, or ok false if there is none.
	Get(ctx context.Context, partition, key string) (row Row, ok bool, err error)
	// Scan returns up to limit rows of the partition with from <= key < to in
	// ascending key order; an empty to means no upper bound.
	Scan(ctx context.Context, partition, from, to string, limit int) ([]Row, error)
	// Apply does all operations or none, in one partition, each on its own
	// row. It returns the new ETags by position ("" for Delete). A condition
	// that does not hold is Conflict and nothing was written. Any other error
	// but Invalid and Denied may have been written: settle by reading.
	Apply(ctx context.Context, partition string, ops []Op) (etags []string, err error)
}

// Message is one queued message as taken.
type Message struct {
	ID       string
	Receipt  string // proof of this take; stale once the message was taken again
	Body     []byte
	Dequeued int // times taken, this one included
	Inserted time.Time
}

// Queue is at-least-once queues that are made on first use.
type Queue interface {
	// Put adds a message that becomes visible after delay (0 to MaxDelay).
	Put(ctx context.Context, queue string, body []byte, delay time.Duration) error
	// Take returns up to max visible messages and hides them for hidden.
	Take(ctx context.Context, queue string, max int, hidden time.Duration) ([]Message, error)
	// Done deletes a taken message; a stale receipt is Conflict.
	Done(ctx context.Context, queue string, m Message) error
}

// Log is append-only byte sequences that are made on first use.
type Log interface {
	// Append adds data as one block if the log's length is exactly at, and
	// fails with Conflict otherwise. Any other error may have appended.
	Append(ctx context.Context, log string, at int64, data []byte) error
	// Read returns up to max bytes from the offset; fewer or none at the end.
	Read(ctx context.Context, log string, from int64, max int) ([]byte, error)
	// Size returns the length in bytes and the number of blocks; 0, 0 for a
	// log that is not there.
	Size(ctx context.Context, log string) (bytes int64, blocks int, err error)
}

// Backend is one place that offers all three ports.
type Backend struct {
	State State
	Queue Queue
	Log   Log
}

// CheckKey returns an Invalid fault unless s can be a partition or row key on
// every backend (Azure Tables forbids / \ # ? and control characters; the
// rest of the narrowing keeps keys readable in any tool).
func CheckKey(op, s string) error {
	if s == "" || len(s) > MaxKeyBytes {
		return fault.New(fault.Invalid, op, "key of %d bytes; want 1 to %d", len(s), MaxKeyBytes)
	}
	for i := range len(s) {
		if !keyByte(s[i]) {
			return fault.New(fault.Invalid, op, "key %q: byte %q at %d is not one of A-Z a-z 0-9 ~ . _ -", s, s[i], i)
		}
	}
	return nil
}

func keyByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '~' || c == '.' || c == '_' || c == '-'
}

// CheckBatch returns an Invalid fault if Azure would refuse the batch.
func CheckBatch(op, partition string, ops []Op) error {
	if err := CheckKey(op, partition); err != nil {
		return err
	}
	if len(ops) == 0 || len(ops) > MaxBatchOps {
		return fault.New(fault.Invalid, op, "batch of %d operations; want 1 to %d", len(ops), MaxBatchOps)
	}
	seen := make(map[string]bool, len(ops))
	total := 0
	for i, o := range ops {
		if err := checkOp(op, i, o, seen); err != nil {
			return err
		}
		total += len(o.Value)
	}
	if total > MaxBatchBytes {
		return fault.New(fault.Invalid, op, "batch of %d bytes; want at most %d", total, MaxBatchBytes)
	}
	return nil
}

func checkOp(op string, i int, o Op, seen map[string]bool) error {
	if err := CheckKey(op, o.Key); err != nil {
		return err
	}
	switch {
	case seen[o.Key]:
		return fault.New(fault.Invalid, op, "operation %d: row %q stands twice in the batch", i, o.Key)
	case o.Kind < Insert || o.Kind > Delete:
		return fault.New(fault.Invalid, op, "operation %d: unknown kind %d", i, o.Kind)
	case o.Kind != Insert && o.ETag == "":
		return fault.New(fault.Invalid, op, "operation %d: row %q needs an ETag", i, o.Key)
	case len(o.Value) > MaxValueBytes:
		return fault.New(fault.Invalid, op, "operation %d: value of %d bytes; want at most %d", i, len(o.Value), MaxValueBytes)
	}
	seen[o.Key] = true
	return nil
}

// Name returns a partition or row name for a thing of the kind whose own id
// (an ARM id, a key URL) has bytes that a key cannot hold: the kind, ~, and 20
// bytes of the SHA-256 of the id in hex.
func Name(kind, id string) string {
	sum := sha256.Sum256([]byte(id))
	return kind + "~" + hex.EncodeToString(sum[:20])
}

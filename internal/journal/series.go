package journal

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// rollAt is how many blocks a log holds before the next one of its series
// begins: below the store's limit, so that no append is ever refused for it.
const rollAt = store.MaxBlocks - 1000

// series is one endless log made of numbered ones: NAME-000001, NAME-000002...
type series struct {
	log  store.Log
	name string
}

func (s series) segment(i int) string { return fmt.Sprintf("%s-%06d", s.name, i) }

// sizes returns the bytes of each segment and the blocks of the last.
func (s series) sizes(ctx context.Context) (sizes []int64, blocks int, err error) {
	for i := 1; ; i++ {
		size, n, err := s.log.Size(ctx, s.segment(i))
		if err != nil {
			return nil, 0, err
		}
		if size == 0 {
			return sizes, blocks, nil
		}
		sizes, blocks = append(sizes, size), n
	}
}

func (s series) length(ctx context.Context) (int64, error) {
	sizes, _, err := s.sizes(ctx)
	var total int64
	for _, n := range sizes {
		total += n
	}
	return total, err
}

// add appends data if the series has exactly at bytes; Conflict otherwise.
func (s series) add(ctx context.Context, at int64, data []byte) error {
	sizes, blocks, err := s.sizes(ctx)
	if err != nil {
		return err
	}
	var total, last int64
	for _, n := range sizes {
		total, last = total+n, n
	}
	if total != at {
		return fault.New(fault.Conflict, "journal.add", "%s has %d bytes, not %d: another sequencer is at work", s.name, total, at)
	}
	seg := max(1, len(sizes))
	if blocks >= rollAt {
		seg, last = seg+1, 0
	}
	return s.log.Append(ctx, s.segment(seg), last, data)
}

// readFrom returns everything from the offset on.
func (s series) readFrom(ctx context.Context, from int64) ([]byte, error) {
	const chunk = 4 << 20
	sizes, _, err := s.sizes(ctx)
	if err != nil {
		return nil, err
	}
	var out []byte
	var start int64
	for i, n := range sizes {
		for at := max(0, from-start); at < n; {
			b, err := s.log.Read(ctx, s.segment(i+1), at, chunk)
			if err != nil {
				return nil, err
			}
			if len(b) == 0 {
				return nil, fault.New(fault.Invalid, "journal.read", "%s ends at %d of %d bytes", s.segment(i+1), at, n)
			}
			out, at = append(out, b...), at+int64(len(b))
		}
		start += n
	}
	return out, nil
}

// hashReader reads stored hashes of the tree: those in the log, and those of
// the batch that is not in it yet.
type hashReader struct {
	ctx   context.Context
	s     series
	base  int64 // stored hashes in the log
	extra []tlog.Hash
}

// ReadHashes implements tlog.HashReader.
func (r *hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	sizes, _, err := r.s.sizes(r.ctx)
	if err != nil {
		return nil, err
	}
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= r.base {
			if x-r.base >= int64(len(r.extra)) {
				return nil, fault.New(fault.Invalid, "journal.hashes", "stored hash %d is missing", x)
			}
			out[i] = r.extra[x-r.base]
			continue
		}
		b, err := r.at(sizes, x*tlog.HashSize)
		if err != nil {
			return nil, err
		}
		copy(out[i][:], b)
	}
	return out, nil
}

func (r *hashReader) at(sizes []int64, off int64) ([]byte, error) {
	for i, n := range sizes {
		if off < n { // a hash never spans two segments: blocks are whole hashes
			b, err := r.s.log.Read(r.ctx, r.s.segment(i+1), off, tlog.HashSize)
			if err == nil && len(b) != tlog.HashSize {
				err = fault.New(fault.Invalid, "journal.hashes", "short hash in %s", r.s.segment(i+1))
			}
			return b, err
		}
		off -= n
	}
	return nil, fault.New(fault.Invalid, "journal.hashes", "the hash log is too short")
}

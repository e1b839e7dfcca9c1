package store

import (
	"encoding/base64"
	"time"

	"cmkguard/internal/fault"
)

// MaxTake is how many messages Azure hands out at once; a Take of more gets
// at most these.
const MaxTake = 32

// CheckMessage returns an Invalid fault if Azure would refuse to Put it.
func CheckMessage(op, queue string, body []byte, delay time.Duration) error {
	if err := CheckKey(op, queue); err != nil {
		return err
	}
	if n := base64.StdEncoding.EncodedLen(len(body)); n > MaxMessageBytes {
		return fault.New(fault.Invalid, op, "message of %d bytes in base64; want at most %d", n, MaxMessageBytes)
	}
	if delay < 0 || delay > MaxDelay {
		return fault.New(fault.Invalid, op, "delay %s; want 0 to %s", delay, MaxDelay)
	}
	return nil
}

// CheckTake returns an Invalid fault if Azure would refuse the Take.
func CheckTake(op, queue string, max int, hidden time.Duration) error {
	if err := CheckKey(op, queue); err != nil {
		return err
	}
	if max < 1 {
		return fault.New(fault.Invalid, op, "%d messages; want at least 1", max)
	}
	if hidden < time.Second || hidden > MaxDelay {
		return fault.New(fault.Invalid, op, "hidden for %s; want 1s to %s", hidden, MaxDelay)
	}
	return nil
}

// CheckAppend returns an Invalid fault if Azure would refuse the block. How
// many blocks the log has is for the adapter to check.
func CheckAppend(op, log string, at int64, data []byte) error {
	if err := CheckKey(op, log); err != nil {
		return err
	}
	if at < 0 {
		return fault.New(fault.Invalid, op, "position %d", at)
	}
	if len(data) == 0 || len(data) > MaxAppendBytes {
		return fault.New(fault.Invalid, op, "block of %d bytes; want 1 to %d", len(data), MaxAppendBytes)
	}
	return nil
}

// CheckScan returns an Invalid fault for a range that no adapter can read.
func CheckScan(op, partition string, limit int) error {
	if err := CheckKey(op, partition); err != nil {
		return err
	}
	if limit < 1 {
		return fault.New(fault.Invalid, op, "limit %d; want at least 1", limit)
	}
	return nil
}

// CheckRead returns an Invalid fault for a range of a log that no adapter can
// read.
func CheckRead(op, log string, from int64, max int) error {
	if err := CheckKey(op, log); err != nil {
		return err
	}
	if from < 0 || max < 0 {
		return fault.New(fault.Invalid, op, "from %d, at most %d bytes", from, max)
	}
	return nil
}

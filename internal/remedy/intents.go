package remedy

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Made returns the versions among the given ones that the partition's intents
// of one remedy made: settled results, and what appeared while an attempt of
// ours was open, since its answer may be lost or still under way.
func Made(ctx context.Context, state store.State, partition, remedyName string, created map[string]time.Time) (map[string]bool, error) {
	rows, err := state.Scan(ctx, partition, intentRow(remedyName+"~"), intentRow(remedyName+"~~"), 1000)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, row := range rows {
		var it intent
		if err := json.Unmarshal(row.Value, &it); err != nil {
			return nil, fault.New(fault.Invalid, "remedy.Made", "intent %s: %w", row.Key, err)
		}
		switch it.State {
		case stateSettled:
			out[it.Result] = true
		case stateReserved, stateActed:
			for v, at := range created {
				if !at.Before(it.Reserved.Add(-time.Minute)) {
					out[v] = true
				}
			}
		}
	}
	return out, nil
}

// Begun reports whether an intent under the key is reserved: the gates were
// asked, and what was begun is brought to its end. One that failed and may be
// begun afresh is not begun.
func Begun(ctx context.Context, state store.State, partition, key string) (bool, error) {
	row, ok, err := state.Get(ctx, partition, intentRow(key))
	if err != nil || !ok {
		return false, err
	}
	var it intent
	if err := json.Unmarshal(row.Value, &it); err != nil {
		return false, fault.New(fault.Invalid, "remedy.Begun", "intent %s: %w", key, err)
	}
	return it.State != stateFailed || it.RetryAt.IsZero(), nil
}

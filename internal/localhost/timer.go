package localhost

import (
	"context"
	"time"
)

// time calls a timer's function whenever the clock has passed the next
// multiple of Every. Calls never overlap, and times that were missed, by a
// slow call or a clock that jumped, are made up for by one call, past due.
func (h *Host) time(ctx context.Context, t Timer) {
	if t.Every <= 0 {
		h.o.Log.Error().Str("function", t.Function).Dur("every", t.Every).Msg("timer without an interval never fires")
		return
	}
	var last time.Time
	next := h.o.Now().Truncate(t.Every).Add(t.Every)
	for !h.stopped(ctx) {
		now := h.o.Now()
		if now.Before(next) {
			if !h.pause(ctx, min(max(next.Sub(now), pollMin), pollMax)) {
				return
			}
			continue
		}
		following := now.Truncate(t.Every).Add(t.Every)
		tick := Tick{Last: last, Next: following, PastDue: now.Sub(next) >= t.Every}
		if err := h.fire(ctx, t, tick); err != nil {
			// As with the real host: no retry, the next tick is the retry.
			h.o.Log.Warn().Err(err).Str("function", t.Function).Msg("timer failed")
		}
		last, next = now, following
	}
}

func (h *Host) fire(ctx context.Context, t Timer, tick Tick) error {
	body, err := TimerEnvelope(h.call(t.Function), t.Binding, tick)
	if err != nil {
		return err
	}
	return Post(ctx, h.o.HTTP, h.o.BaseURL, t.Function, h.o.NewID(), body)
}

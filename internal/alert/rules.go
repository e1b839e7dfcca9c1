package alert

import (
	"context"
	"time"
)

// Rules are what the dispatcher knows beyond how to send. The zero value delivers
// each alert by itself, at once, and to nobody in another's place.
type Rules struct {
	// Everybody are the channels that people read: they stand in where a severe alert
	// has no fallback of its own, and are told of a channel that cannot be reached.
	Everybody []string
	// Take takes one sending from the channel's rate, which all instances share. A wait
	// above zero means that it was not taken. nil: no rate is known.
	Take func(ctx context.Context, channel string) (wait time.Duration)
	// Holds says what is kept back; nil: nothing.
	Holds Holder
	// Group says with what an alert is told together on a channel; nil, or false: it is
	// told alone. Storm says when a channel's messages are told as one; nil: never.
	Group func(a Alert, channel string) (Group, bool)
	Storm func(channel string) Storm
	// Note hears of every sending and of every delivery that is over, for metrics.
	Note func(Event)
}

// Event is one thing that happened to a delivery.
type Event struct {
	Channel string
	What    NotificationState // Pending: it is tried again
	Class   Class             // why it failed; "" if it did not
	Took    time.Duration     // of the call; 0 if none was made
	Age     time.Duration     // since the alert was made
}

// Under sets the rules and returns the dispatcher.
func (d *Dispatcher) Under(r Rules) *Dispatcher {
	d.rules = r
	return d
}

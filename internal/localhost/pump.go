package localhost

import (
	"context"
	"sync"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// pumped is one queue's pump. A message that is taken again while its
// invocation still runs (it ran longer than the visibility time-out) is not
// posted a second time; only its receipt is renewed.
type pumped struct {
	host   *Host
	queue  string
	target Target

	mu      sync.Mutex
	flying  map[string]store.Message // by id, with the newest receipt
	wake    chan struct{}            // an invocation ended
	workers sync.WaitGroup
}

// pump takes batches until stopped and waits for what is in flight.
func (h *Host) pump(ctx context.Context, queue string, target Target) {
	p := &pumped{host: h, queue: queue, target: target, flying: make(map[string]store.Message), wake: make(chan struct{}, 1)}
	defer p.workers.Wait()
	for wait := pollMin; !h.stopped(ctx); {
		if p.inFlight() > newBatchThreshold {
			if !p.waitForRoom(ctx) {
				return
			}
			continue
		}
		n, err := p.batch(ctx)
		if err != nil && ctx.Err() == nil {
			h.o.Log.Warn().Err(err).Str("queue", queue).Msg("cannot take messages")
		}
		if n > 0 {
			wait = pollMin
			continue
		}
		if !h.pause(ctx, wait) {
			return
		}
		wait = min(2*wait, pollMax)
	}
}

func (p *pumped) inFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flying)
}

func (p *pumped) waitForRoom(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-p.host.stopping:
		return false
	case <-p.wake:
		return true
	}
}

// batch takes messages and starts the new ones. It returns how many it started.
func (p *pumped) batch(ctx context.Context) (int, error) {
	messages, err := p.host.o.Queue.Take(ctx, p.queue, batchSize, p.host.o.Visibility)
	if err != nil {
		return 0, err
	}
	started := 0
	for _, m := range messages {
		if p.renew(m) {
			continue
		}
		started++
		p.workers.Go(func() { p.deliver(ctx, m) })
	}
	return started, nil
}

// renew notes the message as in flight and reports whether it already was.
func (p *pumped) renew(m store.Message) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, already := p.flying[m.ID]
	p.flying[m.ID] = m
	return already
}

func (p *pumped) deliver(ctx context.Context, m store.Message) {
	err := p.post(ctx, m)
	p.mu.Lock()
	m.Receipt = p.flying[m.ID].Receipt
	p.mu.Unlock()
	p.settle(ctx, m, err)
	p.mu.Lock()
	delete(p.flying, m.ID)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// post runs the invocation, unless the message was taken too often already:
// then it is one whose poisoning failed.
func (p *pumped) post(ctx context.Context, m store.Message) error {
	const op = "localhost.pump"
	if m.Dequeued > MaxDequeueCount {
		return fault.New(fault.Invalid, op, "taken %d times", m.Dequeued)
	}
	o := p.host.o
	c := p.host.call(p.target.Function)
	body, err := QueueEnvelope(c, p.target.Binding, m, c.UtcNow.Add(o.Visibility))
	if err != nil {
		return err
	}
	return Post(ctx, o.HTTP, o.BaseURL, p.target.Function, o.NewID(), body)
}

// settle removes a message that is done, leaves one that failed to its
// visibility time-out, and moves one that failed too often to the poison
// queue: first there, then away from here, so that a crash in between costs a
// duplicate and never a message.
func (p *pumped) settle(ctx context.Context, m store.Message, failed error) {
	log := p.host.o.Log.With().Str("queue", p.queue).Str("message", m.ID).Int("dequeued", m.Dequeued).Logger()
	if failed != nil {
		log.Warn().Err(failed).Msg("invocation failed")
		if ctx.Err() != nil || m.Dequeued < MaxDequeueCount {
			return
		}
		if err := p.host.o.Queue.Put(ctx, p.queue+PoisonSuffix, m.Body, 0); err != nil {
			log.Error().Err(err).Msg("cannot move to the poison queue")
			return
		}
	}
	if err := p.host.o.Queue.Done(ctx, p.queue, m); err != nil {
		log.Warn().Err(err).Msg("cannot delete the message; it will be delivered again")
	}
}

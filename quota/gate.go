package quota

import (
	"context"
	"errors"
	"sync"
	"time"
)

// gate holds a tenant to a number of things at the same time. Who finds it full
// waits in the order of coming.
type gate struct {
	// mu guards what is below. Nothing waits while it is held.
	mu     sync.Mutex
	limit  int // 0: none
	inUse  int
	first  *waiter
	last   *waiter
	queued int
	// free are slots that nobody holds.
	free *slot
	// shut is whether the account was dropped: the tenant has another gate.
	shut bool
	// pace is the time between turns, while there is a queue.
	pace   time.Duration
	turned time.Time // when the queue last moved
}

type waiter struct {
	turn       chan struct{} // closed when it is in
	in         bool
	prev, next *waiter
}

// slot is a place within the gate, used over and over.
type slot struct {
	gate *gate
	uses uint64
	next *slot
}

// Slot is what Governor.Acquire grants. The zero value holds nothing.
type Slot struct {
	slot *slot
	use  uint64
}

// Leave gives the slot back. Further calls do nothing.
func (s Slot) Leave() {
	if s.slot == nil {
		return
	}
	g := s.slot.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.slot.uses != s.use {
		return
	}
	s.slot.uses++
	s.slot.next, g.free = g.free, s.slot
	g.inUse--
	g.admit()
}

var (
	errShut    = errors.New("gate is shut")
	errFull    = errors.New("queue is full")
	errTooLong = errors.New("waited too long")
)

// set puts a limit in force. Who is in stays, who waits may get in.
func (g *gate) set(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = limit
	g.admit()
}

// close shuts the gate if nobody is in or waits.
func (g *gate) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = g.inUse == 0 && g.queued == 0
	return g.shut
}

// enter returns a slot, or errShut, errFull, errTooLong, or what ended ctx.
func (g *gate) enter(ctx context.Context, queue int, timeout time.Duration, counters *counters) (Slot, error) {
	g.mu.Lock()
	switch {
	case g.shut:
		g.mu.Unlock()
		return Slot{}, errShut
	case g.room(): // then nobody waits: see admit
		g.inUse++
		s := g.slot()
		g.mu.Unlock()
		return s, nil
	case g.queued >= queue:
		g.mu.Unlock()
		return Slot{}, errFull
	}
	w := g.push()
	g.mu.Unlock()
	counters.queued.Add(1)
	counters.waiting.Add(1)
	begin := time.Now()
	err := g.wait(ctx, w, timeout)
	counters.waiting.Add(-1)
	counters.queueTime.Add(int64(time.Since(begin)))
	return g.after(w, err)
}

// wait returns nil when w is in.
func (g *gate) wait(ctx context.Context, w *waiter, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-w.turn:
		return nil
	case <-timer.C:
		return errTooLong
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// after ends a wait: w is in, or gone.
func (g *gate) after(w *waiter, err error) (Slot, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !w.in:
		g.remove(w)
		return Slot{}, err
	case err != nil && err != errTooLong:
		// Its turn came just when its context ended.
		g.inUse--
		g.admit()
		return Slot{}, err
	}
	return g.slot(), nil
}

func (g *gate) room() bool { return g.limit == 0 || g.inUse < g.limit }

// admit lets in who waits, as far as there is room. It is called with whatever
// makes room, so that there is none while somebody waits.
func (g *gate) admit() {
	for g.first != nil && g.room() {
		w := g.first
		g.remove(w)
		g.inUse++
		w.in = true
		close(w.turn)
		now := time.Now()
		gap := min(now.Sub(g.turned), DefaultQueueTimeout)
		if g.pace == 0 {
			g.pace = gap
		}
		g.pace += (gap - g.pace) / 8
		g.turned = now
	}
}

// slot returns a place for who was counted in.
func (g *gate) slot() Slot {
	s := g.free
	if s == nil {
		s = &slot{gate: g}
	} else {
		g.free = s.next
	}
	return Slot{s, s.uses}
}

// patience estimates when there is room for one more.
func (g *gate) patience() time.Duration {
	const least = 10 * time.Millisecond
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pace == 0 {
		return time.Second // nothing is known
	}
	return max(least, min(g.pace*time.Duration(g.queued+1), time.Minute))
}

func (g *gate) push() *waiter {
	w := &waiter{turn: make(chan struct{}), prev: g.last}
	if g.last != nil {
		g.last.next = w
	} else {
		g.first, g.turned = w, time.Now()
	}
	g.last = w
	g.queued++
	return w
}

func (g *gate) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		g.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		g.last = w.prev
	}
	g.queued--
}

package pool

import (
	"sync"
	"time"
)

// goodbye bounds how long a connection's end is waited for.
const goodbye = time.Second

// put takes a healthy connection back.
func (p *Pool) put(c *Conn, now time.Time) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.destroy(c, retiredClosed)
		return
	}
	p.leave(c)
	c.rested, c.held = now, nil
	p.idle = append(p.idle, c)
	hungry := p.serve()
	idle := len(p.idle) > 0
	p.mu.Unlock()
	p.budget.feedIf(hungry, p)
	p.budget.offer(idle)
}

// destroy closes a connection of its holder's.
func (p *Pool) destroy(c *Conn, why reason) {
	p.mu.Lock()
	p.leave(c)
	p.closing++
	p.mu.Unlock()
	p.finish(c, why)
}

// finish closes a connection that counts as closing.
func (p *Pool) finish(c *Conn, why reason) {
	if e, ok := c.Session.(Ender); ok && p.budget != nil {
		e.End(goodbye)
	}
	// Its error changes nothing: the connection is gone either way.
	_ = c.Session.Close()
	p.mu.Lock()
	p.closing--
	p.stats.retired[why]++
	p.vacated()
	p.mu.Unlock()
	p.budget.give(p, c)
}

// Trim closes idle connections until at most keep are open, and one more if
// the oldest idle one was opened before oldest.
func (p *Pool) Trim(keep int, oldest time.Time) {
	p.mu.Lock()
	var out []*Conn
	if i := p.oldestIdle(); i >= 0 && p.idle[i].created.Before(oldest) {
		out = append(out, p.remove(i))
	}
	for p.open() > keep && len(p.idle) > 0 {
		out = append(out, p.remove(p.oldestIdle()))
	}
	p.closing += len(out)
	p.mu.Unlock()
	p.finishAll(out, retiredTrimmed)
}

// finishAll closes connections that count as closing, at once: one that does not
// answer must not keep the others.
func (p *Pool) finishAll(all []*Conn, why reason) {
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() { p.finish(c, why) })
	}
	wg.Wait()
}

func (p *Pool) oldestIdle() int {
	at := -1
	for i, c := range p.idle {
		if at < 0 || c.created.Before(p.idle[at].created) {
			at = i
		}
	}
	return at
}

// Sweep closes the connections that are idle for longer than MaxIdle, and the idle
// ones that are older than MaxAge, down to none. It reports how many.
func (p *Pool) Sweep(now time.Time) int {
	p.mu.Lock()
	var old, idle []*Conn
	kept := p.idle[:0]
	for _, c := range p.idle {
		switch {
		case now.Sub(c.created) > p.cfg.MaxAge:
			old = append(old, c)
		case p.cfg.MaxIdle > 0 && now.Sub(c.rested) > p.cfg.MaxIdle:
			idle = append(idle, c)
		default:
			kept = append(kept, c)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.closing += len(old) + len(idle)
	p.mu.Unlock()
	p.finishAll(old, retiredAge)
	p.finishAll(idle, retiredIdle)
	return len(old) + len(idle)
}

// Close closes the idle connections and waits until those in use have come
// back and are closed too. Further calls wait as well.
func (p *Pool) Close() {
	p.mu.Lock()
	var idle []*Conn
	if !p.closed {
		p.closed = true
		idle, p.idle = p.idle, nil
		p.closing += len(idle)
		for _, w := range p.queue.drain() {
			w.ch <- grant{err: ErrClosed}
		}
		if p.open() == 0 {
			close(p.drained)
		}
	}
	p.mu.Unlock()
	p.finishAll(idle, retiredClosed)
	<-p.drained
	p.budget.part(p)
}

package pool

import "time"

// slowPace is how often a pool logs that Acquires wait for long.
const slowPace = 10 * time.Second

// slow bounds a pool's warnings.
type slow struct {
	logged     time.Time
	suppressed int
}

// warnSlow logs an Acquire that waited for long.
func (p *Pool) warnSlow(owner string, waited time.Duration, now time.Time) {
	p.mu.Lock()
	p.stats.slow++
	if now.Sub(p.slow.logged) < slowPace {
		p.slow.suppressed++
		p.mu.Unlock()
		return
	}
	suppressed := p.slow.suppressed
	p.slow = slow{logged: now}
	waiting, open := p.queue.n, p.open()
	p.mu.Unlock()
	p.cfg.Logger.Warn("a statement waited long for a connection: allow the node more, or hold them for less long",
		"tenant", owner, "shard", p.cfg.Shard, "node", p.cfg.Node, "waited", waited.Round(time.Millisecond),
		"open", open, "waiting", waiting, "suppressed", suppressed)
}

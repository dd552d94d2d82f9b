package quota

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Start reads the policy and keeps it current until Stop. It fails if the
// policy cannot be read: what is not known is not waved through.
func (g *Governor) Start(ctx context.Context) error {
	// Before the first reading, so that no change falls between.
	cancel := g.cfg.Source.OnPolicyChange(g.wake)
	err := g.read(ctx)
	if err == nil && g.shared != nil {
		err = g.shared.Start(ctx)
	}
	if err == nil {
		err = g.loops.Start(ctx, g.follow, g.sweep, func(ctx context.Context) {
			<-ctx.Done()
			cancel()
		})
	}
	if err != nil {
		cancel()
		return fmt.Errorf("start to limit tenants: %w", err)
	}
	return nil
}

// Stop ends what runs in the background. What was read last stays in force. It
// may be called more than once.
func (g *Governor) Stop() {
	g.loops.Stop()
	if g.shared != nil {
		g.shared.Stop()
	}
}

// wake makes follow read the policy.
func (g *Governor) wake() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// follow reads the policy when it changed, and now and then.
func (g *Governor) follow(ctx context.Context) {
	for {
		timer := time.NewTimer(time.Duration(float64(g.cfg.ReadEvery) * (0.9 + rand.Float64()/5)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-g.changed:
			timer.Stop()
		case <-timer.C:
		}
		if err := g.read(ctx); err != nil && ctx.Err() == nil {
			g.cfg.Logger.WarnContext(ctx, "limits stay as they were read last", "error", err)
		}
	}
}

// read reads the policy and puts it in force.
func (g *Governor) read(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, g.cfg.ReadTimeout)
	defer cancel()
	got, err := g.cfg.Source.Policy(call)
	if err == nil {
		var next *policy
		var broken error
		if next, broken, err = compile(got, g.policy.Load()); err == nil {
			if broken != nil {
				g.badExceptions.Add(1)
				g.cfg.Logger.ErrorContext(ctx, "exceptions from limits cannot be read: they stay as they were, or the tier's limits hold", "error", broken)
			}
			g.loads.Add(1)
			g.policy.Store(next)
			return nil
		}
	}
	g.loadErrors.Add(1)
	return fmt.Errorf("read the policy: %w", err)
}

// sweepsPerIdle is how many times the accounts are looked through in IdleFor.
const sweepsPerIdle = 4

// sweep forgets tenants that do nothing.
func (g *Governor) sweep(ctx context.Context) {
	tick := time.NewTicker(max(g.cfg.IdleFor/sweepsPerIdle, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.sweepOnce(time.Now())
		}
	}
}

func (g *Governor) sweepOnce(now time.Time) int {
	epoch, keep := g.accounts.epoch.Add(1), uint32(sweepsPerIdle)
	if g.accounts.count.Load() > int64(g.cfg.MaxTenants) {
		keep = 1
	}
	if epoch <= keep {
		return 0
	}
	return g.accounts.drop(epoch-keep, now)
}

package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

// BenchmarkAcquire takes an idle connection and gives it back, beneath as many frames
// as GORM has: alone, within a budget, and with leak detection.
func BenchmarkAcquire(b *testing.B) {
	for _, c := range []struct {
		name string
		cfg  pool.Config
	}{
		{"plain", pool.Config{}},
		{"budget", pool.Config{Budget: pool.NewBudget(10, 10)}},
		{"leaks", pool.Config{LeakAfter: time.Minute}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.cfg.Connector = new(server)
			p := pool.New(c.cfg)
			defer p.Close()
			b.ReportAllocs()
			for b.Loop() {
				if err := beneath(b.Context(), 30, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

//go:noinline
func beneath(ctx context.Context, frames int, p *pool.Pool) error {
	if frames > 0 {
		return beneath(ctx, frames-1, p)
	}
	c, err := p.Acquire(ctx, pool.Claim{Owner: "a", Conns: 4})
	if err == nil {
		c.Release()
	}
	return err
}

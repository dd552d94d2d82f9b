package registry

import (
	"testing"
	"time"
)

func benchmarkRegistry(b *testing.B) *Registry {
	b.Helper()
	r := open(b, Config{DSN: newDatabase(b), HomeShard: "default", TTL: time.Hour})
	create(b, r, "acme")
	must(r.Lookup(b.Context(), "acme"))(b)
	b.ReportAllocs()
	return r
}

func BenchmarkLookup(b *testing.B) {
	r := benchmarkRegistry(b)
	ctx := b.Context()
	for b.Loop() {
		if _, err := r.Lookup(ctx, "acme"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookupParallel(b *testing.B) {
	r := benchmarkRegistry(b)
	ctx := b.Context()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := r.Lookup(ctx, "acme"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkShard(b *testing.B) {
	r := benchmarkRegistry(b)
	ctx := b.Context()
	for b.Loop() {
		if _, err := r.Shard(ctx, "default"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestHitAllocatesNothing(t *testing.T) {
	r := openHome(t)
	create(t, r, "acme")
	listening(t, r.cfg.DSN, 1)
	ctx := t.Context()
	for what, fn := range map[string]func() error{
		"Lookup": func() error { return second(r.Lookup(ctx, "acme")) },
		"Shard":  func() error { return second(r.Shard(ctx, "default")) },
	} {
		if err := fn(); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(1000, func() { _ = fn() }); n != 0 {
			t.Errorf("%s: %.1f allocations", what, n)
		}
	}
}

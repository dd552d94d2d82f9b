package service_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type key struct{}

func TestGroup(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	var g service.Group
	started, ended := make(chan struct{}), atomic.Int64{}
	loop := func(ctx context.Context) {
		if ctx.Value(key{}) != "value" {
			t.Error("the values of Start's context are lost")
		}
		started <- struct{}{}
		<-ctx.Done()
		ended.Add(1)
	}
	if err := g.Start(ctx, loop, loop); err != nil {
		t.Fatal(err)
	}
	cancel() // the loops outlive it, or they would not all start
	<-started
	<-started
	if err := g.Start(t.Context(), loop); !errors.Is(err, service.ErrStarted) {
		t.Errorf("a second Start: %v", err)
	}
	if n := ended.Load(); n != 0 {
		t.Errorf("%d loops ended with Start's context", n)
	}
	g.Stop()
	if n := ended.Load(); n != 2 {
		t.Errorf("Stop returned when %d of 2 loops had ended", n)
	}
	g.Stop()
	if err := g.Start(t.Context(), loop); !errors.Is(err, service.ErrStarted) {
		t.Errorf("a Start after Stop: %v", err)
	}
}

func TestStopWithoutStart(t *testing.T) {
	t.Parallel()
	var g service.Group
	g.Stop()
	g.Stop()
	if err := g.Start(t.Context(), func(context.Context) { t.Error("it ran") }); !errors.Is(err, service.ErrStarted) {
		t.Error(err)
	}
}

// TestStartAndStopAtOnce: whoever comes first, no loop outlives a Stop.
func TestStartAndStopAtOnce(t *testing.T) {
	t.Parallel()
	for range 200 {
		var g service.Group
		var running, starts atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				err := g.Start(t.Context(), func(ctx context.Context) {
					running.Add(1)
					defer running.Add(-1)
					<-ctx.Done()
				})
				if err == nil {
					starts.Add(1)
				}
			})
			wg.Go(func() {
				g.Stop()
				if n := running.Load(); n != 0 {
					t.Errorf("%d loops run after Stop", n)
				}
			})
		}
		wg.Wait()
		if starts.Load() > 1 {
			t.Fatalf("%d starts", starts.Load())
		}
	}
}

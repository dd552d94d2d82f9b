package service

import (
	"context"
	"errors"
	"sync"
)

// ErrStarted is returned by a second Start, and by a Start after Stop.
var ErrStarted = errors.New("service was started or stopped already")

// Group runs goroutines that end together. The zero value is ready. It
// keeps the contract for the structs that embed or hold it.
type Group struct {
	// mu guards started and cancel; it is never held while waiting.
	mu      sync.Mutex
	started bool
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// Start runs each loop in a goroutine of its own, until Stop is called. The
// loops outlive ctx's cancellation but see its values.
func (g *Group) Start(ctx context.Context, loops ...func(context.Context)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.started {
		return ErrStarted
	}
	g.started = true
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g.cancel = cancel
	for _, loop := range loops {
		g.wg.Add(1)
		go func() {
			defer g.wg.Done()
			loop(run)
		}()
	}
	return nil
}

// Stop cancels the loops' context and waits for them. A Group that was
// stopped cannot be started.
func (g *Group) Stop() {
	g.mu.Lock()
	g.started = true
	if g.cancel != nil {
		g.cancel()
	}
	g.mu.Unlock()
	g.wg.Wait()
}

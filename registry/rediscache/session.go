package rediscache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	defaultCooldown = 500 * time.Millisecond
	maxCooldowns    = 20
	// backgroundTimeout bounds a call that no lookup waits for.
	backgroundTimeout = time.Second
	// silence is how long a subscription may say nothing before it is asked
	// whether it is still there.
	silence = 5 * time.Second
	// maxPuts bounds the answers that wait to be offered.
	maxPuts = 1024
)

// session is a time in which Redis is used. It ends with the first sign that
// something told to Redis may be lost, or that Redis lost something.
type session struct {
	failures atomic.Int32 // in a row
	end      context.CancelCauseFunc
}

// answered notes that a call succeeded.
func (s *session) answered() {
	if s.failures.Load() != 0 {
		s.failures.Store(0)
	}
}

// connect tries Redis until ctx ends: session after session, the breaker open
// between them.
func (c *Cache) connect(ctx context.Context) {
	wait := c.cooldown
	for {
		used, err := c.use(ctx)
		if ctx.Err() != nil {
			return
		}
		if used {
			wait = c.cooldown
		}
		// Whatever was told, or forgotten by Redis itself, may be lost. What
		// is there must never be believed again.
		c.untold.addAll()
		c.counters.opened.Add(1)
		c.cfg.Logger.WarnContext(ctx, "tenant registry does without Redis", "retry_in", wait, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(float64(wait) * (0.75 + rand.Float64()/2))):
		}
		wait = min(2*wait, maxCooldowns*c.cooldown)
	}
}

// use is one session; used is whether it came to one.
func (c *Cache) use(ctx context.Context) (used bool, err error) {
	c.trying.Store(true)
	defer c.trying.Store(false)
	run, end := context.WithCancelCause(ctx)
	defer end(nil)
	sub, err := c.subscribe(run)
	if err != nil {
		return false, err
	}
	defer sub.Close()
	if err := c.load(run); err != nil {
		return false, err
	}
	// After a session, this makes all that is older unreachable.
	if err := c.settle(run); err != nil {
		return false, err
	}
	c.session.Store(&session{end: end})
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context) error{
		c.forget, c.store, func(ctx context.Context) error { return c.hear(ctx, sub) },
	} {
		loops.Go(func() { end(loop(run)) })
	}
	<-run.Done()
	c.session.Store(nil)
	sub.Close() // ends hear
	loops.Wait()
	if ctx.Err() != nil {
		// Once more, for what was changed just before the end.
		_ = c.settle(context.WithoutCancel(ctx)) // other processes hear of it from the control plane, too
	}
	return true, context.Cause(run)
}

func (c *Cache) subscribe(ctx context.Context) (*redis.PubSub, error) {
	ctx, cancel := context.WithTimeout(ctx, backgroundTimeout)
	defer cancel()
	sub := c.client.Subscribe(ctx, c.keys.channel)
	defer context.AfterFunc(ctx, func() { sub.Close() })()
	got, err := sub.ReceiveTimeout(ctx, backgroundTimeout)
	if _, ok := got.(*redis.Subscription); err == nil && !ok {
		err = errReply
	}
	if err != nil {
		sub.Close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return sub, nil
}

// settle tells Redis all that is due.
func (c *Cache) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, backgroundTimeout)
	defer cancel()
	b := c.untold.next()
	if err := c.tell(ctx, b); err != nil {
		c.counters.errors.Add(1)
		return fmt.Errorf("invalidate: %w", err)
	}
	c.untold.told(b)
	return nil
}

// forget tells Redis what is to be forgotten, as it comes.
func (c *Cache) forget(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.untold.due:
			if err := c.settle(ctx); err != nil {
				return err
			}
		}
	}
}

// store offers answers to Redis, as they come. One that fails is lost.
func (c *Cache) store(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-c.puts:
			call, cancel := context.WithTimeout(ctx, backgroundTimeout)
			err := c.offer(call, p)
			cancel()
			if s := c.session.Load(); s != nil && err != nil {
				c.failed(s, err)
			}
		}
	}
}

// hear receives what other processes announce.
func (c *Cache) hear(ctx context.Context, sub *redis.PubSub) error {
	for asked := false; ; {
		got, err := sub.ReceiveTimeout(ctx, silence)
		var timeout net.Error
		switch {
		case err == nil:
			asked = false
		case !asked && errors.As(err, &timeout) && timeout.Timeout():
			asked = true
			err = sub.Ping(ctx)
		}
		if err != nil {
			return fmt.Errorf("subscription: %w", err)
		}
		m, ok := got.(*redis.Message)
		if !ok || len(m.Payload) < len(c.instance) || strings.HasPrefix(m.Payload, c.instance) {
			continue
		}
		c.cfg.Heard(m.Payload[len(c.instance):])
	}
}

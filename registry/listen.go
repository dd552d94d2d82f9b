package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
	// probeEvery is how long the listener trusts a silent connection. Without
	// a question now and then, one whose other end is gone stays silent for
	// ever.
	probeEvery = 15 * time.Second
	// farewell bounds what is still said to a server once the context ended.
	farewell = 5 * time.Second
)

// listen keeps a listening connection until ctx ends.
func (r *Registry) listen(ctx context.Context) {
	wait, again := minBackoff, false
	for ctx.Err() == nil {
		heard, err := r.listenOnce(ctx, again)
		again = true
		if ctx.Err() != nil {
			return
		}
		if heard {
			wait = minBackoff
		}
		r.log.WarnContext(ctx, "tenant registry lost its listening connection", "retry_in", wait, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(jittered(wait)):
		}
		wait = min(2*wait, maxBackoff)
	}
}

// listenOnce listens on one connection until it fails; heard is whether it
// came to listen at all. again is whether there was a connection before: only
// then the shared level may miss something that was this process's to tell it.
func (r *Registry) listenOnce(ctx context.Context, again bool) (heard bool, err error) {
	conn, err := r.connect(ctx, r.conn)
	if err != nil {
		return false, err
	}
	defer closeConn(ctx, conn)
	if _, err := conn.Exec(ctx, "LISTEN "+tenant.QuoteIdent(r.cfg.Schema)); err != nil {
		return false, fmt.Errorf("listen: %w", err)
	}
	// From here on nothing is missed; what was missed before is unknown.
	if again {
		r.shared.flush()
	}
	r.cache.flush()
	r.byName.flush()
	r.logins.expire()
	r.policyWatchers.tell()
	r.refreshShards(ctx)
	for {
		if err := r.hear(ctx, conn); err != nil {
			return true, err
		}
	}
}

// hear waits for one notification, or finds out that the connection is still
// there.
func (r *Registry) hear(ctx context.Context, conn *pgx.Conn) error {
	wait, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	n, err := conn.WaitForNotification(wait)
	if err == nil {
		r.changed(ctx, n.Payload)
		return nil
	}
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || conn.IsClosed() {
		return err
	}
	probe, cancel := context.WithTimeout(ctx, r.cfg.QueryTimeout)
	defer cancel()
	return conn.Ping(probe)
}

// changed forgets what a notification is about: see the triggers of
// migrations/control. What it cannot read may be about anything.
func (r *Registry) changed(ctx context.Context, payload string) {
	kind, name, _ := strings.Cut(payload, ":")
	switch kind {
	case migratingKind:
		r.hint(tenant.ID(name))
	case "t":
		r.migrating.Delete(name)
		r.shared.invalidate(tenant.ID(name), false)
		r.cache.invalidate(tenant.ID(name))
	case "s":
		r.refreshShards(ctx)
	case "n":
		r.byName.flush()
	case "l":
		r.logins.expire()
	case policyKind:
		r.policyWatchers.tell()
	default:
		r.policyWatchers.tell()
		r.logins.expire()
		r.shared.flush()
		r.cache.flush()
		r.byName.flush()
		r.refreshShards(ctx)
	}
}

// connect opens a connection of its own. Only the attempt is bounded.
func (r *Registry) connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.QueryTimeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, config.Copy())
}

func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_ = conn.Close(ctx) // the server ends the session either way
}

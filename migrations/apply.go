package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// SQLSTATEs that decide what follows.
const (
	invalidText     = "22P02"
	queryCanceled   = "57014"
	uniqueViolation = "23505"
)

// again are the SQLSTATEs after which the same statements may well succeed.
var again = map[string]bool{
	"55P03": true,                // lock_timeout
	"40P01": true, "40001": true, // deadlock, serialization
	"57P01": true, "57P02": true, "57P03": true, // the server stops or starts
	"53300": true, // too many connections
}

// maxTenants is how many tenants a connection serves before it is replaced: a
// server process keeps some 13 kB for each table that it has seen.
const maxTenants = 1000

// maxDetours bounds how often a tenant is found elsewhere than expected.
const maxDetours = 3

// migrate brings one tenant to the target, step by step, and enters the outcome.
func (b *batchRun) migrate(j *job, t tenant.Tenant) {
	at, moved, err := b.walk(j, t)
	if at != t.Version {
		b.lists.Lock()
		b.versions[t.ID] = at
		b.lists.Unlock()
	}
	switch {
	case err == nil && (moved || j.begun):
		b.end(j, Migrated, nil)
	case err == nil:
		b.end(j, Corrected, nil)
	case errors.Is(err, errAlone):
		b.later(j, nil)
	case retryable(err) && !b.ended():
		b.later(j, err)
	case b.ended() && undone(err):
		b.end(j, Unreached, nil)
	default:
		b.end(j, Failed, err)
	}
}

// walk returns the version that the tenant has for certain, and whether this
// run moved it.
func (b *batchRun) walk(j *job, t tenant.Tenant) (at int64, moved bool, err error) {
	at = t.Version
	if !j.begun {
		j.from = at
	}
	for detours := 0; ; {
		if b.there(at) {
			return at, moved, nil
		}
		steps, err := b.set.route(at, b.opts.Target)
		if err != nil {
			return at, moved, err
		}
		if len(steps) == 0 {
			return at, moved, fmt.Errorf("%w: cannot undo version %d", ErrVersion, at)
		}
		next, err := b.recordedStep(t, steps[0])
		if err != nil {
			return at, moved, err
		}
		reached, err := b.step(t, next)
		var other *elsewhere
		if errors.As(err, &other) && detours < maxDetours {
			detours++
			at = other.version
			if !moved && !j.begun {
				j.from = at
			}
			continue
		}
		if reached != unknownVersion && reached != at {
			at, moved = reached, true
			j.begun = true
		}
		if err != nil {
			return at, moved, err
		}
	}
}

// there reports whether a version is the target or beyond.
func (b *batchRun) there(at int64) bool {
	if b.opts.Down {
		return at <= b.opts.Target
	}
	return at >= b.opts.Target
}

// unknownVersion is reached by a step of which nothing is known.
const unknownVersion = -1

// step runs one step on a connection, and returns the version that it reached.
func (b *batchRun) step(t tenant.Tenant, st *step) (int64, error) {
	if st.parts[0].goFunc != nil {
		return b.goStep(t, st)
	}
	conn, err := b.pool.Acquire(b.caller)
	if err != nil {
		return unknownVersion, fmt.Errorf("connect to shard %s: %w", b.name, err)
	}
	defer release(b.caller, conn, st)
	if st.solo() {
		return b.bareStep(conn, t, st)
	}
	p := b.place(t, st)
	text, ends := p.message(st)
	a, err := read(conn.Conn().PgConn().Exec(b.caller, text))
	for err != nil {
		if err = p.unexpected(st, err); err != errLookAgain {
			break
		}
		text, ends = p.message(st)
		a, err = read(conn.Conn().PgConn().Exec(b.caller, text))
	}
	if err == nil {
		return a.version, nil
	}
	var other *elsewhere
	if errors.As(err, &other) || errors.Is(err, ErrGaps) {
		return unknownVersion, err
	}
	part := st.parts[failedPart(text, ends, a, err)]
	err = fmt.Errorf("%s: %w", part.source, err)
	if refused(err) || pgconn.SafeToRetry(err) {
		return unknownVersion, err
	}
	if b.ended() {
		return b.ask(t, st, err)
	}
	return unknownVersion, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}

// place returns where a step's message for t runs.
func (b *batchRun) place(t tenant.Tenant, st *step) place {
	p := place{
		schema: t.Schema, path: b.opts.SearchPath, expect: st, createIfNotThere: st.from == 0,
		lock: b.opts.LockTimeout, statement: b.opts.StatementTimeout,
	}
	if b.set.recorded != nil {
		// Such a set makes new schemas without goose's table, and does not know the
		// versions before its own, which the table's IDs would count.
		p.how, p.createIfNotThere, p.untracked = atRows, true, true
	}
	return p
}

// release gives the connection back, or closes it if it has served enough
// tenants or may hold something of this one.
func release(ctx context.Context, conn *pgxpool.Conn, st *step) {
	data := conn.Conn().PgConn().CustomData()
	served, _ := data["gormtenancy"].(int)
	data["gormtenancy"] = served + 1
	if served+1 >= maxTenants || st.solo() || st.session() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
		defer cancel()
		_ = conn.Conn().Close(ctx) // the server ends the session either way
	}
	conn.Release()
}

// ask finds out, after the end of the run, what became of a step whose answer
// was lost. The lock on the shard orders it behind a transaction that still runs.
func (b *batchRun) ask(t tenant.Tenant, st *step, cause error) (int64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.caller), cleanup)
	defer cancel()
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return unknownVersion, fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)
	}
	defer release(ctx, conn, st)
	p := b.place(t, st)
	p.expect, p.createIfNotThere, p.discard = nil, false, true
	var text strings.Builder
	p.prelude(&text)
	p.report(&text)
	a, err := read(conn.Conn().PgConn().Exec(ctx, text.String()))
	if err != nil {
		return unknownVersion, fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)
	}
	if b.there(a.version) {
		return a.version, nil
	}
	return a.version, cause
}

// refused reports whether err is a server's, which then has undone the
// transaction.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg)
}

// retryable reports whether a later attempt may well succeed. What the server
// never answered may be in: the next attempt's check finds out.
func retryable(err error) bool {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.Is(err, ErrNotUndone):
		return false
	case errors.As(err, &pg):
		// Two that make the table at the same time meet in the catalog.
		return again[pg.Code] || pg.Code == uniqueViolation && strings.HasPrefix(pg.ConstraintName, "pg_")
	}
	return errors.Is(err, ErrUnknownOutcome) || errors.As(err, &connect) || pgconn.SafeToRetry(err)
}

// undone reports whether err is the end of the run, or a passing hindrance, and
// nothing of the step is in.
func undone(err error) bool {
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, ErrNotUndone), errors.Is(err, ErrUnknownOutcome):
		return false
	case errors.As(err, &pg):
		return pg.Code == queryCanceled || retryable(err)
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || retryable(err)
}

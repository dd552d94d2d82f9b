package registry

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// maxActor bounds an actor's name, in bytes.
const maxActor = 200

// setActor names the actor for the rest of a transaction; see the function audit
// of migrations/control.
const setActor = "SELECT set_config('gormtenancy.actor', $1, true)"

type actorKey struct{}

// WithActor returns a context whose changes are audited as name's, an operator or
// a service. Control characters are dropped, and what is longer than 200 bytes is
// cut off.
func WithActor(ctx context.Context, name string) context.Context {
	name = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, strings.ToValidUTF8(name, ""))
	if len(name) > maxActor {
		name = strings.ToValidUTF8(name[:maxActor], "")
	}
	return context.WithValue(ctx, actorKey{}, name)
}

func actorOf(ctx context.Context) string {
	name, _ := ctx.Value(actorKey{}).(string)
	return name
}

// sender is a pool of the control database's connections, or one of them.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// alter runs a statement that changes tenants, as the context's actor, in one
// transaction and one round trip. It returns the row that the statement returns,
// nil if there is none.
func alter(ctx context.Context, on sender, sql string, args ...any) (*record, error) {
	return alterAmid(ctx, on, sql, args, nil, nil)
}

// statement is one that goes along with another's message.
type statement struct {
	sql  string
	args []any
}

// alterAmid is alter between other statements, still in one transaction: an error of
// one before keeps those behind it from running.
func alterAmid(ctx context.Context, on sender, sql string, args []any, before, after *statement) (*record, error) {
	b := &pgx.Batch{}
	if before != nil {
		b.Queue(before.sql, before.args...)
	}
	b.Queue(setActor, actorOf(ctx))
	b.Queue(sql, args...)
	if after != nil {
		b.Queue(after.sql, after.args...)
	}
	results := on.SendBatch(ctx, b)
	var err error
	if before != nil {
		_, err = results.Exec()
	}
	if err == nil {
		_, err = results.Exec()
	}
	var rec *record
	if err == nil {
		rec, err = one(results.Query())
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	return rec, err
}

// alterTx is alter for several statements, on a pool or a connection.
func alterTx(ctx context.Context, on interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}, fn func(tx pgx.Tx) error,
) error {
	return pgx.BeginFunc(ctx, on, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, setActor, actorOf(ctx)); err != nil {
			return err
		}
		return fn(tx)
	})
}

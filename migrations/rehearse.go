package migrations

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Rehearsed is a migration, and what its statements did in a schema of their own.
type Rehearsed struct {
	Version int64
	Source  string
	// Transaction is whether it shares one with its version's row.
	Transaction bool
	// Statements are empty for a Go migration.
	Statements []Statement
}

// Statement is one of a migration's.
type Statement struct {
	Text string
	// Locks are those that it holds until its transaction ends, on tables that were
	// there before; none are told of what runs without a transaction.
	Locks []Lock
	// Rewrites are the tables that it writes anew.
	Rewrites []string
	// Failed is why it could not be tried, empty if it was: a Go migration that it
	// needs is not run here, for instance.
	Failed string
}

// Lock is a lock on a table.
type Lock struct {
	Table string // with its schema, if that is not the tenant's
	Mode  string // PostgreSQL's name, such as AccessExclusiveLock
}

// Blocks tells what others cannot do meanwhile. Source: PostgreSQL's manual, Explicit
// Locking.
func (l Lock) Blocks() string {
	switch l.Mode {
	case "AccessExclusiveLock":
		return "reads and writes"
	case "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock":
		return "writes"
	case "ShareUpdateExclusiveLock":
		return "DDL and vacuum"
	}
	return "DDL"
}

// rehearse plays the migrations of a group's tenants.
func (r *run) rehearse(ctx context.Context, g Group) (_ []Rehearsed, err error) {
	if r.set.recorded != nil { // what it would do takes a tenant's own schema to know
		return []Rehearsed{{Version: r.set.Latest(), Source: r.set.all[0].source, Transaction: true}}, nil
	}
	config, err := r.fleet.ShardConfig(ctx, g.Shard)
	if err != nil {
		return nil, err
	}
	h, err := openScratch(ctx, config, r.opts.SearchPath)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	steps, err := r.set.route(0, g.From)
	if err != nil {
		return nil, err
	}
	for _, p := range partsOf(steps) {
		for _, text := range p.statements {
			_ = h.exec(ctx, text) // it may need a Go migration; what follows will tell
		}
	}
	if steps, err = r.set.route(g.From, r.opts.Target); err != nil {
		return nil, err
	}
	var all []Rehearsed
	for _, p := range partsOf(steps) {
		m := Rehearsed{Version: p.version, Source: p.source, Transaction: p.tx}
		for _, text := range p.statements {
			s, err := h.try(ctx, text, p.tx)
			if err != nil {
				return nil, err
			}
			m.Statements = append(m.Statements, s)
		}
		all = append(all, m)
	}
	return all, nil
}

func partsOf(steps []*step) (all []part) {
	for _, st := range steps {
		all = append(all, st.parts...)
	}
	return all
}

// tablesSQL reads the tables in reach.
const tablesSQL = `SELECT array_agg(oid), array_agg(relfilenode),
	array_agg(CASE WHEN relnamespace = $1::regnamespace THEN relname ELSE relnamespace::regnamespace || '.' || relname END)
FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'm', 'f')
	AND (relnamespace = $1::regnamespace OR relnamespace IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY ($2::text[])))`

// locksSQL reads the session's locks on them, and those whose file is another one now.
const locksSQL = `SELECT w.name, coalesce(l.mode, ''), coalesce(c.relfilenode <> w.file, false)
FROM unnest($1::oid[], $2::oid[], $3::text[]) AS w (oid, file, name) LEFT JOIN pg_catalog.pg_class c ON c.oid = w.oid
LEFT JOIN pg_catalog.pg_locks l ON l.relation = w.oid AND l.pid = pg_backend_pid() AND l.granted AND l.mode <> 'AccessShareLock'
WHERE l.mode IS NOT NULL OR c.relfilenode <> w.file ORDER BY 1, 2`

// try plays one statement. An error is one of the rehearsal itself.
func (h *scratch) try(ctx context.Context, text string, tx bool) (s Statement, err error) {
	s.Text = strings.TrimSpace(text)
	if !tx {
		if err := h.exec(ctx, text); err != nil {
			s.Failed = err.Error()
		}
		return s, ctx.Err()
	}
	var oids, files []uint32
	var names []string
	if err := h.conn.QueryRow(ctx, tablesSQL, tenant.QuoteIdent(h.schema), h.path).Scan(&oids, &files, &names); err != nil {
		return s, err
	}
	if err := h.exec(ctx, "BEGIN"); err != nil {
		return s, err
	}
	if err := h.exec(ctx, text); err != nil {
		s.Failed = err.Error()
		return s, h.exec(ctx, "ROLLBACK")
	}
	rows, err := h.conn.Query(ctx, locksSQL, oids, files, names)
	if err != nil {
		return s, err
	}
	var table, mode string
	var rewritten bool
	_, err = pgx.ForEachRow(rows, []any{&table, &mode, &rewritten}, func() error {
		if mode != "" {
			s.Locks = append(s.Locks, Lock{table, mode})
		}
		if n := len(s.Rewrites); rewritten && (n == 0 || s.Rewrites[n-1] != table) {
			s.Rewrites = append(s.Rewrites, table)
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	return s, h.exec(ctx, "COMMIT")
}

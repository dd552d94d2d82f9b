package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// ArchiveOptions say what becomes of an export.
type ArchiveOptions struct {
	// Dir is the directory that the file is written to. Required.
	Dir string
	// Keep, if not nil, is given the path of the finished file, and brings it to where
	// it is kept. Its error ends the matter before anything is dropped.
	Keep func(ctx context.Context, file string) error
}

// Archive suspends a tenant, exports its schema to a file (pg_dump's custom format),
// and drops the schema. The tenant stays, archived, with its names, attributes and
// version, until Restore brings it back or Delete forgets it.
//
// Nothing is dropped unless the export is whole: it is read again to its end, its
// rows are counted, and it is synced to the disk; o.Keep has returned; and no table
// has changed since, which is looked at while nobody can write. If that fails,
// or ctx ends before, the tenant is what it was before. If it fails afterwards, or the
// process is killed anywhere, saying it again finishes; a file that was left half
// written (.partial) is nobody's. A tenant that is archived already stays so.
//
// What the schema refers to elsewhere is not in the file and must be there when it is
// restored: extensions, and types and functions of other schemas. Large objects, and
// privileges, are not in it. Foreign keys, inheritance and views from or to other
// schemas are refused with ErrEntangled, and so is an extension that lives in the
// schema. pg_dump locks all tables in one transaction, so that a schema of thousands
// needs a server of as large a max_locks_per_transaction. It logs in with what the
// shard's DSN says, and nothing else of a Config.ConnConfig. All the time, o.Keep's
// included, one of Config.MaxConns connections holds the tenant's lock.
//
// The error wraps tenant.ErrInvalidID, tenant.ErrUnknown, ErrState, ErrPrograms,
// ErrEntangled, ErrChanged, tenant.ErrUnavailable, or what the shard, pg_dump, the disk
// or o.Keep said.
func (r *Registry) Archive(ctx context.Context, id tenant.ID, o ArchiveOptions) (Archive, error) {
	a, err := r.archive(ctx, id, o)
	if err != nil {
		return Archive{}, fmt.Errorf("archive tenant %.64q: %w", id, err)
	}
	return a, nil
}

func (r *Registry) archive(ctx context.Context, id tenant.ID, o ArchiveOptions) (Archive, error) {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return Archive{}, err
	}
	if info, err := os.Stat(o.Dir); err != nil || !info.IsDir() {
		return Archive{}, fmt.Errorf("ArchiveOptions.Dir %q is no directory that can be read", o.Dir)
	}
	l, err := r.lock(ctx, id, true)
	if err != nil {
		return Archive{}, err
	}
	defer l.unlock(ctx)
	defer r.forget(id)
	rec, n, err := r.noted(ctx, l, id)
	switch {
	case err != nil:
		return Archive{}, err
	case rec.State == tenant.StateArchived && n.restorable():
		return n.Archive, r.finishArchive(ctx, l, rec, n)
	case rec.State != tenant.StateActive && rec.State != tenant.StateSuspended:
		return Archive{}, fmt.Errorf("it is %s: %w", rec.State, ErrState)
	}
	a := &archiving{r: r, lock: l, rec: rec, run: rand.Text(), o: o}
	if n, err = a.perform(ctx, n); err != nil {
		return Archive{}, err
	}
	return n.Archive, r.finishArchive(ctx, l, a.rec, n)
}

// archiving is one Archive under way.
type archiving struct {
	r             *Registry
	lock          *tenantLock
	rec           *record
	run           string
	o             ArchiveOptions
	config        *pgx.ConnConfig // of the shard
	dump, restore pgtool.Tool
}

// perform exports the tenant, and marks it as archived. What an earlier process left
// is in old.
func (a *archiving) perform(ctx context.Context, old *note) (*note, error) {
	conn, err := a.prepare(ctx, old)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	rec, err := alter(ctx, a.lock, a.r.sql.beginArchive, a.rec.ID, a.run)
	switch {
	case err != nil:
		return nil, errors.Join(failed(ctx, "suspend it", err), a.abandon(ctx))
	case rec == nil:
		return nil, fmt.Errorf("its row was changed meanwhile: %w", ErrState)
	}
	a.rec = rec
	a.r.forget(rec.ID)
	n, err := a.export(ctx, conn)
	if err != nil {
		return nil, errors.Join(err, a.abandon(ctx))
	}
	return n, nil
}

// prepare looks whether all that is needed is there, before the tenant is touched. It
// returns a connection to the shard.
func (a *archiving) prepare(ctx context.Context, old *note) (_ *pgx.Conn, err error) {
	if a.config, err = a.r.ShardConfig(ctx, a.rec.Placement.Shard); err != nil {
		return nil, err
	}
	conn, err := a.r.connect(ctx, a.config)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", a.rec.Placement.Shard, err)
	}
	defer func() {
		if err != nil {
			closeConn(ctx, conn)
		}
	}()
	if a.dump, a.restore, err = a.r.programs(ctx, conn); err != nil {
		return nil, err
	}
	if old != nil {
		if err := endRun(ctx, conn, old.Run); err != nil {
			return nil, err
		}
		a.removeFiles(old.Run)
	}
	exists, comment, err := schemaComment(ctx, conn, a.rec.Schema)
	if err != nil {
		return nil, err
	}
	if ours, err := owns(a.rec, comment); !exists || err != nil || !ours {
		return nil, errors.Join(fmt.Errorf("schema %s: %w", tenant.QuoteIdent(a.rec.Schema), ErrNoSchema), err)
	}
	return conn, requireAlone(ctx, conn, a.rec.Schema)
}

// programs returns pg_dump and pg_restore for a server.
func (r *Registry) programs(ctx context.Context, conn *pgx.Conn) (dump, restore pgtool.Tool, err error) {
	var server int
	if err = conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&server); err != nil {
		return dump, restore, err
	}
	if dump, err = pgtool.Find(ctx, r.cfg.Programs, "pg_dump", server); err != nil {
		return dump, restore, err
	}
	restore, err = pgtool.Find(ctx, r.cfg.Programs, "pg_restore", server)
	return dump, restore, err
}

// abandon makes the tenant what it was before, if this run still has it. The file
// goes only once it is certain that nobody will rely on it.
func (a *archiving) abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	rec, err := alter(ctx, a.r.questions, a.r.sql.abandonArchive, a.rec.ID, a.run)
	if err != nil {
		return failed(ctx, "undo, so that the tenant may remain suspended (archive it again, or resume it)", err)
	}
	if rec != nil {
		a.removeFiles(a.run)
	}
	return nil
}

// markArchived ends the exporting: from here on only Restore makes the tenant serve.
func (a *archiving) markArchived(ctx context.Context, made Archive) (*note, error) {
	text, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	rec, err := alter(ctx, a.lock, a.r.sql.exported, a.rec.ID, a.run, string(text), rand.Text())
	switch {
	case err != nil:
		return nil, failed(ctx, "mark it as archived", err)
	case rec == nil:
		return nil, fmt.Errorf("it was resumed or taken over meanwhile: %w", ErrState)
	}
	a.rec = rec
	a.r.forget(rec.ID)
	return &note{Phase: phaseExported, Run: a.run, Archive: made}, nil
}

// finishArchive drops what an archived tenant still has on its shard.
func (r *Registry) finishArchive(ctx context.Context, l *tenantLock, rec *record, n *note) error {
	if n.Phase == phaseDropped {
		return nil
	}
	run := rand.Text() // whoever was at it before is out
	taken, err := alter(ctx, l, r.sql.takeUp, rec.ID, n.Run, run)
	switch {
	case err != nil:
		return failed(ctx, "go on with it", err)
	case taken == nil:
		return fmt.Errorf("another process went on with it: %w", ErrState)
	}
	if n.Phase == phaseRestoring {
		err = r.dropRest(ctx, rec, n)
	} else if err = r.seal(ctx, rec, n); err == nil {
		err = r.dropMarked(ctx, rec, rec.aside())
	}
	switch {
	case errors.Is(err, ErrChanged):
		_, undo := alter(ctx, l, r.sql.abandonArchive, rec.ID, run)
		return errors.Join(err, undo)
	case err != nil:
		return fmt.Errorf("it is archived, say it again to finish: %w", err)
	}
	return r.setPhase(ctx, l, rec.ID, run, phaseDropped)
}

// aside is the schema's name between its export and its end.
func (rec *record) aside() string { return "archived_" + rec.origin }

// seal gives the schema another name, if it still holds what was exported. Who has not
// heard of the archiving and writes finds no table from then on, also if he had begun
// to wait for it.
func (r *Registry) seal(ctx context.Context, rec *record, n *note) error {
	err := r.onShard(ctx, rec.Placement.Shard, func(conn *pgx.Conn) error {
		return patiently(ctx, func() error {
			return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
				return sealIn(ctx, tx.Conn(), rec, n)
			})
		})
	})
	if err != nil {
		return fmt.Errorf("put schema %s aside: %w", tenant.QuoteIdent(rec.Schema), err)
	}
	return nil
}

func sealIn(ctx context.Context, conn *pgx.Conn, rec *record, n *note) error {
	if done, _, err := schemaComment(ctx, conn, rec.aside()); err != nil || done {
		return err
	}
	exists, comment, err := schemaComment(ctx, conn, rec.Schema)
	if err != nil || !exists {
		return err
	}
	if _, err := owns(rec, comment); err != nil {
		return err
	}
	tables, err := tablesOf(ctx, conn, rec.Schema)
	if err != nil {
		return err
	}
	if _, err := conn.PgConn().Exec(ctx, lockSQLFor(rec.Schema, tables)).ReadAll(); err != nil {
		return err
	}
	sums, err := sumTables(ctx, conn, rec.Schema)
	if err != nil {
		return err
	}
	if d := difference(n.Tables, sums); d != "" {
		return fmt.Errorf("%w: %s", ErrChanged, d)
	}
	_, err = conn.PgConn().Exec(ctx, fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s; %s", tenant.QuoteIdent(rec.Schema),
		tenant.QuoteIdent(rec.aside()), rec.markSchema(rec.aside()))).ReadAll()
	return err
}

// dropRest drops whatever a tenant may have on its shard.
func (r *Registry) dropRest(ctx context.Context, rec *record, n *note) error {
	switch {
	case n == nil:
		return r.dropSchema(ctx, rec)
	case n.Phase == phaseDropped:
		return nil
	}
	err := r.onShard(ctx, rec.Placement.Shard, func(conn *pgx.Conn) error { return endRun(ctx, conn, n.Run) })
	switch {
	case err != nil:
		return err
	case n.Phase == phaseRestoring || n.Half:
		return r.dropMarked(ctx, rec, rec.Schema)
	}
	if rec.origin != "" {
		if err := r.dropMarked(ctx, rec, rec.aside()); err != nil {
			return err
		}
	}
	return r.dropSchema(ctx, rec)
}

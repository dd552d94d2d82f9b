package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// RestoreOptions say where a tenant comes back.
type RestoreOptions struct {
	// Shard is where, for instance because its own is lost. Default: where it was.
	Shard string
}

// Restore brings an archived tenant back from the file that Archive wrote: its schema
// with all that was in it, active or suspended as it was before. The file is read
// before anything is done, and the contents of each table are compared with what they
// were when it was exported. If anything fails, what was made is dropped, and the tenant
// stays archived; if the process is killed, saying it again begins anew. One that is to
// be deleted is refused: Undelete it first.
//
// What Archive says is not in the file must be there. Statistics are not in it:
// ANALYZE a large tenant, or leave it to autovacuum.
//
// The error wraps tenant.ErrInvalidID, tenant.ErrUnknown, ErrNoArchive, ErrState,
// ErrDamaged, ErrPrograms, ErrSchemaExists, tenant.ErrExists (of the schema, on
// another shard), tenant.ErrUnknownShard, tenant.ErrUnavailable, or what the shard or
// pg_restore said.
func (r *Registry) Restore(ctx context.Context, id tenant.ID, file string, o RestoreOptions) (tenant.Tenant, error) {
	t, err := r.withRoles(ctx, func() (tenant.Tenant, error) { return r.restore(ctx, id, file, o) })
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("restore tenant %.64q: %w", id, err)
	}
	r.writers.tell(ctx, t) // a replica may not have it yet
	return t, nil
}

func (r *Registry) restore(ctx context.Context, id tenant.ID, path string, o RestoreOptions) (tenant.Tenant, error) {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return tenant.Tenant{}, err
	}
	l, err := r.lock(ctx, id, true)
	if err != nil {
		return tenant.Tenant{}, err
	}
	defer l.unlock(ctx)
	defer r.forget(id)
	rec, n, err := r.noted(ctx, l, id)
	if err == nil {
		err = allowsRestore(rec.Tenant, n)
	}
	if err != nil {
		return tenant.Tenant{}, err
	}
	file, err := openArchive(path, n)
	if err != nil {
		return tenant.Tenant{}, err
	}
	defer file.Close()
	s := &restoring{r: r, lock: l, rec: rec, old: n, run: rand.Text(), file: file, roled: rec.Role != "" || r.roles.Load()}
	if err := s.prepare(ctx, o); err != nil {
		return tenant.Tenant{}, err
	}
	return s.perform(ctx)
}

// allowsRestore returns why a tenant cannot be restored as it is.
func allowsRestore(t tenant.Tenant, n *note) error {
	switch {
	case t.State != tenant.StateArchived || !n.restorable():
		return fmt.Errorf("it is %s: %w", t.State, ErrNoArchive)
	case !t.DeleteAfter.IsZero():
		return fmt.Errorf("it is to be deleted, take that back with Undelete first: %w", ErrState)
	}
	return nil
}

// openArchive opens a file that is what was written.
func openArchive(path string, n *note) (*os.File, error) {
	size, sum, err := fingerprint(path)
	switch {
	case err != nil:
		return nil, err
	case size != n.Size:
		return nil, fmt.Errorf("%w: it has %d bytes, not %d", ErrDamaged, size, n.Size)
	case sum != n.SHA256:
		return nil, fmt.Errorf("%w: its SHA-256 is another", ErrDamaged)
	}
	return os.Open(path)
}

// restoring is one Restore under way.
type restoring struct {
	r     *Registry
	lock  *tenantLock
	rec   *record
	old   *note
	run   string
	file  io.Reader
	moved bool // to another shard
	roled bool // it is to have a database role
	tool  pgtool.Tool
}

// prepare looks whether all that is needed is there, and takes the tenant.
func (s *restoring) prepare(ctx context.Context, o RestoreOptions) error {
	r := s.r
	to := s.rec.Placement
	if s.moved = o.Shard != "" && o.Shard != to.Shard; s.moved {
		shard, err := r.Shard(ctx, o.Shard)
		if err != nil {
			return err
		}
		to.Shard, to.Region = shard.Name, shard.Region
	}
	err := r.onShard(ctx, to.Shard, func(conn *pgx.Conn) (err error) {
		_, s.tool, err = r.programs(ctx, conn)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.leave(ctx, to); err != nil {
		return err
	}
	rec, err := alter(ctx, s.lock, r.sql.beginRestore, s.rec.ID, s.run, to.Shard, to.Region, rand.Text())
	switch {
	case sqlState(err) == uniqueViolation:
		return fmt.Errorf("schema %s on shard %s: %w", tenant.QuoteIdent(s.rec.Schema), to.Shard, tenant.ErrExists)
	case err != nil:
		return failed(ctx, "begin to restore it", err)
	case rec == nil:
		return fmt.Errorf("its row was changed meanwhile: %w", ErrState)
	}
	s.rec = rec
	return nil
}

// leave ends what is unfinished on the shard where the tenant was. One that is lost
// does not keep it from coming back on another.
func (s *restoring) leave(ctx context.Context, to tenant.Placement) error {
	r := s.r
	if s.moved {
		if err := r.requireFree(ctx, s.lock, s.rec.ID, to.Shard, s.rec.Schema); err != nil {
			return err
		}
		// Nobody else gets the schema's old name there: see RenameSchema.
		if _, err := s.lock.Exec(ctx, r.sql.reserve, kindSchema, s.rec.Placement.Shard+"/"+s.rec.Schema, s.rec.ID); err != nil {
			return failed(ctx, "reserve the schema's name", err)
		}
	}
	err := r.finishArchive(ctx, s.lock, s.rec, s.old)
	if err != nil && s.moved && !errors.Is(err, ErrState) && !errors.Is(err, ErrChanged) {
		r.log.WarnContext(ctx, "tenant registry could not drop what a tenant left on its old shard: drop it by hand if the shard comes back",
			"tenant", s.rec.ID, "shard", s.rec.Placement.Shard, "error", err)
		return nil
	}
	return err
}

// perform makes the schema and has the tenant serve, or undoes it.
func (s *restoring) perform(ctx context.Context) (tenant.Tenant, error) {
	err := s.refill(ctx)
	if err == nil && s.roled {
		err = s.r.giveRole(ctx, s.lock, s.rec)
	}
	if err == nil {
		var rec *record
		rec, err = alter(ctx, s.lock, s.r.sql.restored, s.rec.ID, s.run)
		switch {
		case err != nil:
			err = failed(ctx, "end the restoring", err)
		case rec == nil:
			err = fmt.Errorf("its row was changed meanwhile: %w", ErrState)
		default:
			return rec.Tenant, nil
		}
	}
	return s.undo(ctx, err)
}

// undo drops what was made, unless only the last answer was lost.
func (s *restoring) undo(ctx context.Context, cause error) (tenant.Tenant, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	// Nobody can come to think that this run has succeeded after this.
	run := rand.Text()
	rec, err := alter(ctx, s.r.questions, s.r.sql.takeUp, s.rec.ID, s.run, run)
	if err == nil && rec == nil {
		rec, err = one(s.r.questions.Query(ctx, s.r.sql.get, s.rec.ID))
		if err == nil && rec != nil && rec.origin == s.rec.origin && rec.State != tenant.StateArchived {
			return rec.Tenant, nil
		}
		return tenant.Tenant{}, errors.Join(cause, err)
	}
	if err == nil {
		err = s.r.dropRest(ctx, s.rec, &note{Phase: phaseRestoring, Run: s.run})
	}
	if err == nil {
		err = s.r.setPhase(ctx, s.r.questions, s.rec.ID, run, phaseDropped)
	}
	if err != nil {
		err = fmt.Errorf("undo (the tenant stays archived, restore it again later): %w", err)
	}
	return tenant.Tenant{}, errors.Join(cause, err)
}

// refill makes the tenant's schema out of the file. It is the one place where a schema
// of ours is made again. Grants are not in the file: giveRole puts them back.
func (s *restoring) refill(ctx context.Context) error {
	r, schema := s.r, s.rec.Schema
	config, err := r.ShardConfig(ctx, s.rec.Placement.Shard)
	if err != nil {
		return err
	}
	return r.onShard(ctx, s.rec.Placement.Shard, func(conn *pgx.Conn) error {
		_, err := conn.PgConn().Exec(ctx, s.rec.makeSchema()).ReadAll()
		if state := sqlState(err); state == duplicateSchema || state == uniqueViolation {
			return ErrSchemaExists
		}
		if err != nil {
			return err
		}
		args := []string{"--dbname=", "--schema=" + schema, "--exit-on-error", "--no-owner", "--no-privileges", "--no-password"}
		if s.moved {
			args = append(args, "--no-tablespaces")
		}
		err = s.tool.Run(ctx, pgtool.Call{Database: config, App: session(s.run), In: s.file, Args: args})
		if err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			sums, err := sumTables(ctx, tx.Conn(), schema)
			if err != nil {
				return err
			}
			if d := difference(s.old.Tables, sums); d != "" {
				return fmt.Errorf("%w: %s", ErrDamaged, d)
			}
			return nil
		})
	})
}

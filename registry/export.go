package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// session is the application_name of a program's session on the shard.
func session(run string) string { return "gormtenancy " + run }

// endRun ends what a program that outlived its caller still does on the server.
func endRun(ctx context.Context, conn *pgx.Conn, run string) error {
	for left := true; left; {
		err := conn.QueryRow(ctx, `SELECT count(pg_catalog.pg_terminate_backend(pid)) > 0 FROM pg_catalog.pg_stat_activity
			WHERE datname = current_database() AND application_name = $1`, session(run)).Scan(&left)
		if err != nil {
			return fmt.Errorf("end the programs of before: %w", err)
		}
		if left {
			if err := pause(ctx, minBackoff/5); err != nil {
				return err
			}
		}
	}
	return nil
}

// path is the finished file of a run.
func (a *archiving) path(run string) string {
	return filepath.Join(a.o.Dir, string(a.rec.ID)+"-"+run+".dump")
}

func partial(path string) string { return path + ".partial" }

func (a *archiving) removeFiles(run string) {
	_ = os.Remove(partial(a.path(run))) // nobody relies on them
	_ = os.Remove(a.path(run))
}

// export writes the file, has it kept, and marks the tenant as archived.
func (a *archiving) export(ctx context.Context, conn *pgx.Conn) (*note, error) {
	made, err := a.write(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("export schema %s: %w", tenant.QuoteIdent(a.rec.Schema), err)
	}
	if a.o.Keep != nil {
		if err := a.o.Keep(ctx, a.path(a.run)); err != nil {
			return nil, fmt.Errorf("keep the file: %w", err)
		}
	}
	return a.markArchived(ctx, made)
}

// write makes the file out of one snapshot, and what is known of it.
func (a *archiving) write(ctx context.Context, conn *pgx.Conn) (made Archive, err error) {
	tx, err := a.snapshot(ctx, conn)
	if err != nil {
		return made, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = tx.Rollback(ctx) // it has changed nothing
	}()
	var snapshot string
	row := tx.QueryRow(ctx, "SELECT pg_catalog.pg_export_snapshot(), current_setting('server_version')")
	if err := row.Scan(&snapshot, &made.ServerVersion); err != nil {
		return made, err
	}
	made.At, made.File = time.Now().UTC().Truncate(time.Second), filepath.Base(a.path(a.run))
	if made.Tables, err = sumTables(ctx, conn, a.rec.Schema); err != nil {
		return made, err
	}
	partial := partial(a.path(a.run))
	if err := a.dumpTo(ctx, partial, snapshot); err != nil {
		return made, err
	}
	if err := a.check(ctx, partial, made.Tables); err != nil {
		return made, err
	}
	if made.Size, made.SHA256, err = fingerprint(partial); err != nil {
		return made, err
	}
	return made, rename(partial, a.path(a.run))
}

// snapshot begins a transaction that sees one moment, in which nobody writes. Those who
// had begun before have ended then.
func (a *archiving) snapshot(ctx context.Context, conn *pgx.Conn) (tx pgx.Tx, err error) {
	_, err = conn.Exec(ctx, `SELECT set_config(name, '0', false) FROM pg_settings
		WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`)
	if err != nil {
		return nil, err
	}
	err = patiently(ctx, func() error {
		tables, err := tablesOf(ctx, conn, a.rec.Schema)
		if err != nil {
			return err
		}
		if tx, err = conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}); err != nil {
			return err
		}
		_, err = conn.PgConn().Exec(ctx, lockSQLFor(a.rec.Schema, tables)).ReadAll()
		if err == nil {
			var now []table
			now, err = tablesOf(ctx, conn, a.rec.Schema)
			if err == nil && !slices.EqualFunc(now, tables, func(a, b table) bool { return a.name == b.name }) {
				err = fmt.Errorf("%w: its tables have", ErrChanged)
			}
		}
		if err != nil {
			err = errors.Join(err, tx.Rollback(ctx))
		}
		return err
	})
	return tx, err
}

// dumpTo has pg_dump write a file of a snapshot, and syncs it to the disk.
func (a *archiving) dumpTo(ctx context.Context, path, snapshot string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	err = a.dump.Run(ctx, pgtool.Call{Database: a.config, App: session(a.run), Out: file, Args: []string{
		"--format=custom", "--snapshot=" + snapshot, "--schema=" + tenant.QuoteIdent(a.rec.Schema), "--strict-names",
		"--no-publications", "--no-subscriptions", "--no-password", "--lock-wait-timeout=60000",
	}})
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// check reads the whole file as pg_restore does, and counts tables and rows.
func (a *archiving) check(ctx context.Context, path string, want map[string]TableSum) error {
	var got rowCounter
	err := a.restore.Run(ctx, pgtool.Call{Out: &got, Args: []string{"--data-only", "--file=-", path}})
	if err != nil {
		return fmt.Errorf("read the export again: %w", err)
	}
	var rows int64
	for _, t := range want {
		rows += t.Rows
	}
	if got.tables != len(want) || got.rows != rows {
		return fmt.Errorf("the export has %d rows of %d tables, want %d of %d: %w", got.rows, got.tables, rows, len(want), ErrDamaged)
	}
	return nil
}

// rowCounter counts what pg_restore writes as COPY.
type rowCounter struct {
	tables  int
	rows    int64
	copying bool
	line    []byte // its beginning and its end, with what is between left out
}

// maxLine is as much of a line as is looked at.
const maxLine = 4096

func (c *rowCounter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, ends := bytes.Cut(rest, []byte("\n"))
		c.line = append(c.line, part...)
		if extra := len(c.line) - maxLine; extra > 0 {
			c.line = slices.Delete(c.line, maxLine/2, maxLine/2+extra)
		}
		if ends {
			c.end()
		}
		rest = after
	}
	return len(p), nil
}

// end looks at a line. In COPY's text a row is one line.
func (c *rowCounter) end() {
	switch {
	case c.copying && string(c.line) == `\.`:
		c.copying = false
	case c.copying:
		c.rows++
	case bytes.HasSuffix(c.line, []byte(" FROM stdin;")): // a name may have put a line's end before
		c.copying = true
		c.tables++
	}
	c.line = c.line[:0]
}

// fingerprint reads a file.
func fingerprint(path string) (size int64, sum string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer file.Close()
	h := sha256.New()
	size, err = io.Copy(h, file)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

// rename gives a file its name for good: the directory is synced, too.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

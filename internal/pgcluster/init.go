package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// run executes one of PostgreSQL's programs as the servers' user.
func (c *Cluster) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, c.cfg.Binaries.program(name), args...)
	cmd.Dir, cmd.SysProcAttr = "/", c.user.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// initPrimary makes a new data directory unless there is one.
func (n *Node) initPrimary(ctx context.Context) error {
	if n.initialised() {
		return nil
	}
	if err := n.c.user.makeDir(n.dir); err != nil {
		return err
	}
	return n.c.run(ctx, "initdb", "-D", n.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
}

func (n *Node) initialised() bool {
	_, err := os.Stat(filepath.Join(n.data(), "PG_VERSION"))
	return err == nil
}

// initReplica makes a copy of the running primary, a new one each time.
func (n *Node) initReplica(ctx context.Context) error {
	if err := os.RemoveAll(n.data()); err != nil {
		return err
	}
	if err := n.c.user.makeDir(n.dir); err != nil {
		return err
	}
	var err error
	if n.c.cfg.Binaries.has("pg_basebackup") {
		err = n.c.run(ctx, "pg_basebackup", "-D", n.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(n.primary.port),
			"-U", "postgres", "-X", "stream", "-c", "fast", "--no-sync")
	} else {
		err = n.copyPrimary(ctx)
	}
	if err != nil {
		return fmt.Errorf("copy the primary for %s: %w", n.name, err)
	}
	if err := os.WriteFile(filepath.Join(n.data(), "standby.signal"), nil, 0o600); err != nil {
		return err
	}
	return n.c.user.own(n.data())
}

// copyPrimary is pg_basebackup by SQL, for bundles without it. What the copy
// lacks of the log, the replica streams: wal_keep_size keeps it.
func (n *Node) copyPrimary(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, dsn(n.primary.port, "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "select pg_backup_start($1, true)", n.name); err != nil {
		return err
	}
	if err := copyTree(n.primary.data(), n.data()); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRow(ctx, "select labelfile from pg_backup_stop(false)").Scan(&label); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(n.data(), "backup_label"), []byte(label), 0o600)
}

// skipped tells what a base backup leaves out.
func skipped(rel string) bool {
	for _, dir := range []string{"pg_wal", "pg_replslot", "pg_stat_tmp", "pg_notify", "pg_dynshmem", "pg_subtrans", "pg_serial", "pg_snapshots"} {
		if strings.HasPrefix(rel, dir+"/") {
			return true
		}
	}
	return rel == "postmaster.pid" || rel == "postmaster.opts"
}

// copyTree copies a data directory of a running server: files may vanish.
func copyTree(from, to string) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch target := filepath.Join(to, rel); {
		case skipped(rel):
			return nil
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case d.Type().IsRegular():
			return copyFile(path, target)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(to, "pg_wal", "archive_status"), 0o700)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

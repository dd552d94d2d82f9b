package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// Config describes a cluster.
type Config struct {
	// Binaries to run. Default: what Find finds.
	Binaries Binaries
	// Dir holds the data. Default: a temporary directory.
	Dir string
	// InMemory puts a temporary directory into memory, where the machine has a file
	// system for that with room enough: making a database takes a tenth of the time.
	InMemory bool
	// Keep keeps Dir at Stop. A later Start with the same Dir goes on with it.
	Keep bool
	// Shards is the number of primaries. Default 1.
	Shards int
	// Replicas is the number of streaming replicas of each primary.
	Replicas int
	// Params are settings of every server, over the package's own.
	Params map[string]string
}

// Shard is a primary with its replicas.
type Shard struct {
	Name     string // shard-1, shard-2, ...
	Primary  *Node
	Replicas []*Node
}

// Cluster is a set of running servers.
type Cluster struct {
	// Control is the control database, on the first shard's server.
	Control struct{ DSN string }

	cfg    Config
	user   *owner
	dir    string
	shards []Shard
	once   sync.Once
	number atomic.Int64
	err    error // of Stop
}

// The names of the databases.
const (
	appDatabase     = "app"
	controlDatabase = "control"
)

// Start starts a cluster. Its error says what to do, or holds the end of a
// server's log.
func Start(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	if cfg.Binaries.Dir == "" {
		if cfg.Binaries, err = Find(ctx, FindOptions{}); err != nil {
			return nil, err
		}
	}
	cfg.Shards = max(cfg.Shards, 1)
	c := &Cluster{cfg: cfg}
	if c.user, err = serverUser(); err != nil {
		return nil, err
	}
	if err := CleanLeftovers(); err != nil {
		return nil, err
	}
	if err := c.claimDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
		}
	}()
	for i := range cfg.Shards {
		c.shards = append(c.shards, c.plan(fmt.Sprintf("shard-%d", i+1)))
	}
	if err := c.parallel(func(s Shard) error { return c.startShard(ctx, s) }); err != nil {
		return nil, err
	}
	if err := createDatabase(ctx, c.shards[0].Primary.port, controlDatabase); err != nil {
		return nil, err
	}
	c.Control.DSN = dsn(c.shards[0].Primary.port, controlDatabase)
	return c, nil
}

func (c *Cluster) plan(name string) Shard {
	s := Shard{Name: name, Primary: &Node{c: c, name: name + "-primary", dir: filepath.Join(c.dir, name)}}
	for i := range c.cfg.Replicas {
		node := fmt.Sprintf("%s-replica-%d", name, i+1)
		s.Replicas = append(s.Replicas, &Node{c: c, name: node, dir: filepath.Join(c.dir, node), primary: s.Primary})
	}
	return s
}

func (c *Cluster) startShard(ctx context.Context, s Shard) error {
	if err := s.Primary.initPrimary(ctx); err != nil {
		return err
	}
	if err := s.Primary.launch(ctx); err != nil {
		return err
	}
	if err := createDatabase(ctx, s.Primary.port, appDatabase); err != nil {
		return err
	}
	s.Primary.DSN = dsn(s.Primary.port, appDatabase)
	for _, r := range s.Replicas {
		if err := r.initReplica(ctx); err != nil {
			return err
		}
		if err := r.launch(ctx); err != nil {
			return err
		}
		r.DSN = dsn(r.port, appDatabase)
	}
	return nil
}

// parallel runs fn for every shard and returns all errors.
func (c *Cluster) parallel(fn func(Shard) error) error {
	errs := make([]error, len(c.shards))
	var wg sync.WaitGroup
	for i, s := range c.shards {
		wg.Go(func() { errs[i] = fn(s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// createDatabase makes a database unless it exists.
func createDatabase(ctx context.Context, port int, name string) error {
	conn, err := pgx.Connect(ctx, dsn(port, "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
	return err
}

// Shards returns the shards in the order of their names.
func (c *Cluster) Shards() []Shard { return c.shards }

// NewDatabase makes an empty database on the first shard and returns its DSN.
func (c *Cluster) NewDatabase(ctx context.Context) (string, error) {
	name, port := fmt.Sprintf("db_%d_%d", os.Getpid(), c.number.Add(1)), c.shards[0].Primary.port
	if err := createDatabase(ctx, port, name); err != nil {
		return "", err
	}
	return dsn(port, name), nil
}

// Stop stops every server, replicas first, and removes the data unless it is
// kept. Later calls return the first one's error.
func (c *Cluster) Stop(context.Context) error {
	c.once.Do(func() {
		_ = c.parallel(func(s Shard) error {
			for _, r := range s.Replicas {
				r.Stop()
			}
			s.Primary.Stop()
			return nil
		})
		if c.cfg.Keep {
			c.err = os.Remove(filepath.Join(c.dir, ownerFile))
			return
		}
		c.err = os.RemoveAll(c.dir)
	})
	return c.err
}

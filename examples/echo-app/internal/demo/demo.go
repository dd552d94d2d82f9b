package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/seed"
	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/server"
	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Config describes a demo.
type Config struct {
	// Port to serve on at 127.0.0.1; 0 takes a free one.
	Port int
	// Data is a directory to keep the data in. Empty: nothing is kept.
	Data string
	// Out gets what the demo tells its user.
	Out io.Writer
	// Logger takes the access log and errors. Default slog.Default.
	Logger *slog.Logger
}

// Tenants are those of every demo. Their names are the only say in where they
// live: the registry places them by consistent hashing, some on each shard.
var Tenants = []tenant.ID{"acme", "globex", "initech", "umbrella", "hooli"}

// Suspended is one more, which was suspended: its requests are refused.
const Suspended tenant.ID = "vandelay"

// shardNames are what consistent hashing spreads the tenants over.
var shardNames = []string{"north", "south"}

// replicas is the number of each shard's.
const replicas = 1

// Run runs the demo until ctx ends. The end of ctx during the start is an error
// that wraps ctx.Err().
func Run(ctx context.Context, cfg Config) (err error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	// What is wrong with the arguments is no reason to start a cluster.
	if err := usable(cfg.Data); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", cfg.Port))
	if err != nil {
		return fmt.Errorf("listen: %w (choose another port with --port, or 0 for a free one)", err)
	}
	defer l.Close()
	start := time.Now()
	fmt.Fprintf(cfg.Out, "Starting PostgreSQL: %d shards, each a primary and a replica ...\n", len(shardNames))
	cluster, err := pgcluster.Start(ctx, pgcluster.Config{
		Dir: cfg.Data, Keep: cfg.Data != "", Shards: len(shardNames), Replicas: replicas,
	})
	if err != nil {
		// A program that ends with ctx, such as initdb, says so in its own way.
		return fmt.Errorf("start the cluster: %w", errors.Join(ctx.Err(), err))
	}
	defer func() {
		fmt.Fprintln(cfg.Out, "Stopping PostgreSQL ...")
		err = errors.Join(err, cluster.Stop(context.WithoutCancel(ctx)))
		if err == nil {
			fmt.Fprintln(cfg.Out, farewell(cfg))
		}
	}()
	return serve(ctx, cfg, cluster, l, start)
}

// usable refuses a directory of somebody else's files: the servers' would be
// mixed with them, and its permissions changed.
func usable(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data directory: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); name != "owner.pid" && !strings.HasPrefix(name, "shard-") {
			return fmt.Errorf("data directory: %s holds %s, which is no demo's: name a new directory", dir, name)
		}
	}
	return nil
}

func farewell(cfg Config) string {
	if cfg.Data != "" {
		return "Done. The data is in " + cfg.Data + "."
	}
	return "Done. Nothing is left behind."
}

// serve opens the application on a running cluster, and serves on l.
func serve(ctx context.Context, cfg Config, cluster *pgcluster.Cluster, l net.Listener, start time.Time) (err error) {
	reg, err := openRegistry(ctx, cfg, cluster)
	if err != nil {
		return err
	}
	defer reg.Close()
	if err := setLimits(ctx, reg); err != nil {
		return err
	}
	metrics := server.NewMetrics()
	db, err := server.OpenDatabase(ctx, cluster.Shards()[0].Primary.DSN, reg, metrics, cfg.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	fmt.Fprintf(cfg.Out, "Creating %d tenants with sample data ...\n", len(Tenants))
	if err := createTenants(ctx, reg, db.DB); err != nil {
		return err
	}
	srv := server.New(server.Config{DB: db.DB, Registry: reg, Limiter: db.Governor, Metrics: metrics, Logger: cfg.Logger})
	if err := welcome(ctx, cfg.Out, reg, cluster, l.Addr().String(), time.Since(start)); err != nil {
		return err
	}
	err = srv.Serve(ctx, l)
	fmt.Fprintln(cfg.Out)
	return err
}

// createTenants creates those that do not exist yet.
func createTenants(ctx context.Context, reg *registry.Registry, db *gorm.DB) error {
	if _, err := reg.Create(ctx, tenant.Spec{ID: Limited, Tier: free}); err != nil && !errors.Is(err, tenant.ErrExists) {
		return err
	}
	if err := seed.Tenants(ctx, reg, db, Tenants...); err != nil {
		return err
	}
	if _, err := reg.Create(ctx, tenant.Spec{ID: Suspended}); err != nil && !errors.Is(err, tenant.ErrExists) {
		return err
	}
	return reg.Suspend(ctx, Suspended)
}

// openRegistry registers the shards. A cluster that was kept has other ports
// now, so they are registered each time.
func openRegistry(ctx context.Context, cfg Config, cluster *pgcluster.Cluster) (*registry.Registry, error) {
	reg, err := registry.Open(ctx, registry.Config{
		DSN: cluster.Control.DSN, Logger: cfg.Logger,
		// Nobody else works on this cluster: what is half made was left by a
		// demo that was killed.
		ProvisionTimeout: time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	for i, s := range cluster.Shards() {
		shard := tenant.Shard{Name: shardNames[i], Region: "local", Primary: s.Primary.DSN}
		for _, r := range s.Replicas {
			shard.Replicas = append(shard.Replicas, r.DSN)
		}
		if err := reg.AddShard(ctx, shard); err != nil {
			reg.Close()
			return nil, err
		}
	}
	return reg, nil
}

// Command doctorbench measures how long it takes to examine a whole fleet of tenants,
// ten tables each, on a PostgreSQL server that it starts itself.
//
//	go run ./tests/doctorbench -tenants 10000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/gormtenancy/gormtenancy/internal/doctor"
	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
)

type config struct{ tenants, perShard, rounds int }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c config
	flag.IntVar(&c.tenants, "tenants", 2_000, "tenants, on one server")
	flag.IntVar(&c.perShard, "per-shard", 2, "connections that read")
	flag.IntVar(&c.rounds, "rounds", 3, "how often it is examined")
	flag.Parse()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "doctorbench:", err)
		stop()
		os.Exit(1)
	}
}

// file makes ten tables like an application's, with 60 columns, 20 indexes and 9
// foreign keys.
func file() string {
	var b strings.Builder
	b.WriteString("-- +goose Up\n")
	for i := range 10 {
		fmt.Fprintf(&b, "CREATE TABLE table_%d (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, price numeric(10,2) DEFAULT 0 CHECK (price >= 0), parent_id bigint, state varchar(20) DEFAULT 'new', at timestamptz NOT NULL DEFAULT now());\n", i)
		fmt.Fprintf(&b, "CREATE INDEX ON table_%d (lower(name));\nCREATE INDEX ON table_%[1]d (parent_id) WHERE state <> 'old';\n", i)
		if i > 0 {
			fmt.Fprintf(&b, "ALTER TABLE table_%d ADD FOREIGN KEY (parent_id) REFERENCES table_%d;\n", i, i-1)
		}
	}
	return b.String()
}

func run(ctx context.Context, c config, out io.Writer) (err error) {
	set, err := migrations.Load(fstest.MapFS{"00001_tables.sql": {Data: []byte(file())}})
	if err != nil {
		return err
	}
	cluster, err := pgcluster.Start(ctx, pgcluster.Config{Shards: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(context.WithoutCancel(ctx))) }()
	dsn := cluster.Shards()[0].Primary.DSN
	reg, err := registry.Open(ctx, registry.Config{DSN: dsn, HomeShard: "s0"})
	if err != nil {
		return err
	}
	defer reg.Close()
	begun := time.Now()
	if err := fill(ctx, dsn, set, c.tenants); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d tenants of 10 tables, made in %s\n", c.tenants, time.Since(begun).Round(time.Second))
	for range c.rounds {
		r, err := doctor.Examine(ctx, reg, doctor.Options{Set: set, PerShard: c.perShard})
		if err != nil {
			return err
		}
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		fmt.Fprintf(out, "examined %d in %.1f s, %.0f tenants/s; %d findings; %d MB of heap\n",
			r.Examined, r.Seconds, float64(r.Examined)/r.Seconds, len(r.Findings), mem.HeapAlloc>>20)
	}
	return nil
}

// fill makes the schemas on two connections, and enters all tenants at once.
func fill(ctx context.Context, dsn string, set *migrations.Set, n int) error {
	script, _ := set.Script()
	var g errgroup.Group
	for half := range 2 {
		g.Go(func() error {
			conn, err := pgx.Connect(ctx, dsn)
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is pending
			for i := half; i < n && err == nil; i += 2 {
				err = send(ctx, conn, fmt.Sprintf("CREATE SCHEMA tenant_%d; SELECT set_config('search_path', 'tenant_%[1]d', true); %s", i, script))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is pending
	return send(ctx, conn, fmt.Sprintf(`INSERT INTO tenancy.tenants (id, schema_name, state, tier, shard, version)
		SELECT i::text, 'tenant_' || i, 'active', 'standard', 's0', 1 FROM generate_series(0, %d) i`, n-1))
}

func send(ctx context.Context, conn *pgx.Conn, text string) error {
	_, err := conn.PgConn().Exec(ctx, text).ReadAll()
	return err
}

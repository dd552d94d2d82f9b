package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/gormtenancy/gormtenancy/internal/structure"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	pageSize = 5_000
	// connectTime bounds the attempt to reach a shard.
	connectTime = 5 * time.Second
	farewell    = 5 * time.Second
)

// schema is one that was seen on a shard.
type schema struct {
	structure.Schema
	comment string
	mark    string // empty if its comment is none
}

// ward is a shard under examination.
type ward struct {
	Shard
	exam *exam
	err  error

	schemas   []schema
	byName    map[string]*schema
	bySchema  map[string]*patient
	versioned map[tenant.ID]bool

	mu   sync.Mutex // guards conn, and is held while it is used
	conn *pgx.Conn
}

func newWard(x *exam, name string) *ward {
	return &ward{exam: x, Shard: Shard{Name: name}, byName: map[string]*schema{}, bySchema: map[string]*patient{}, versioned: map[tenant.ID]bool{}}
}

// fail ends the examination of a shard.
func (w *ward) fail(err error) {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("shard %s: %w", w.Name, err)
		w.Error = w.err.Error()
	}
}

func (w *ward) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := w.exam.reg.ShardConfig(ctx, w.Name)
	if err != nil {
		return nil, err
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > connectTime {
		config.ConnectTimeout = connectTime
	}
	return pgx.ConnectConfig(ctx, config)
}

func (w *ward) close(ctx context.Context) {
	if w.conn != nil {
		bye(ctx, w.conn)
	}
}

func bye(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_ = conn.Close(ctx) // the server ends the session either way
}

const schemasSQL = `SELECT n.oid, n.nspname, coalesce(pg_catalog.obj_description(n.oid, 'pg_namespace'), '')
FROM pg_catalog.pg_namespace n WHERE n.oid > $1 ORDER BY n.oid LIMIT $2`

// list reads the shard's schemas.
func (w *ward) list(ctx context.Context) (err error) {
	if w.conn, err = w.connect(ctx); err != nil {
		return err
	}
	if w.Server, err = structure.Major(w.conn); err != nil {
		return err
	}
	for last := uint32(0); ; {
		rows, err := w.conn.Query(ctx, schemasSQL, last, pageSize)
		if err != nil {
			return err
		}
		n := 0
		var s schema
		_, err = pgx.ForEachRow(rows, []any{&s.OID, &s.Name, &s.comment}, func() error {
			n++
			last = s.OID
			if !system(s.Name) {
				_, s.mark, _ = registry.ParseMark(s.comment)
				w.schemas = append(w.schemas, s)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if n < pageSize {
			break
		}
	}
	for i := range w.schemas {
		w.byName[w.schemas[i].Name] = &w.schemas[i]
	}
	w.Schemas = len(w.schemas)
	return nil
}

func system(name string) bool {
	return name == "information_schema" || len(name) > 3 && name[:3] == "pg_"
}

// read reads the structure of the tenants' schemas, in batches.
func (w *ward) read(ctx context.Context) error {
	var todo []structure.Schema
	for _, s := range w.schemas {
		if p := w.bySchema[s.Name]; p != nil && p.oid == s.OID {
			todo = append(todo, s.Schema)
		}
	}
	batches := make(chan []structure.Schema)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(batches)
		for batch := range slices.Chunk(todo, structure.BatchSize) {
			select {
			case batches <- batch:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range min(w.exam.opts.PerShard, 1+len(todo)/structure.BatchSize) {
		g.Go(func() error { return w.readSome(ctx, batches) })
	}
	return g.Wait()
}

func (w *ward) readSome(ctx context.Context, batches <-chan []structure.Schema) error {
	conn, err := w.connect(ctx)
	if err != nil {
		return err
	}
	defer bye(ctx, conn)
	for batch := range batches {
		all, err := structure.Batch(ctx, conn, batch)
		var pg *pgconn.PgError
		if errors.As(err, &pg) {
			all, err = w.oneByOne(ctx, conn, batch)
		}
		if err != nil {
			return err
		}
		w.exam.took(w, all)
	}
	return nil
}

// oneByOne reads what could not be read at once, and finds out why.
func (w *ward) oneByOne(ctx context.Context, conn *pgx.Conn, batch []structure.Schema) (all []structure.Read, err error) {
	for _, s := range batch {
		one, err := structure.Batch(ctx, conn, []structure.Schema{s})
		var pg *pgconn.PgError
		switch {
		case errors.As(err, &pg):
			w.exam.find(w.bySchema[s.Name].about(Unreadable, err.Error(), "give the role of the shard's DSN the right to read the schema, then examine again"))
			w.exam.mu.Lock()
			if w.bySchema[s.Name].wanted {
				w.exam.unreadable++
			}
			w.exam.mu.Unlock()
		case err != nil:
			return nil, err
		default:
			all = append(all, one...)
		}
	}
	return all, nil
}

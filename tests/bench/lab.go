package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgdsn"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	plainSchema    = "bench_plain" // where plain GORM has its table
	rowsPerTable   = 50
	schemasPerSend = 100
)

// Item is the model of all measurements.
type Item struct {
	ID        int64 `gorm:"primaryKey"`
	Name      string
	Amount    int64
	CreatedAt time.Time
}

// TableName is the same in every schema.
func (Item) TableName() string { return "bench_items" }

// lab is one database with tenants, and the ways to it.
type lab struct {
	db      [ways]*gorm.DB
	tenants []tenant.Spec
	ctx     []context.Context // with tenant i in it
	close   []func()
}

// makeTables creates and fills the tables of plain GORM and of n tenants.
func makeTables(ctx context.Context, dsn string, n int) ([]tenant.Spec, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	specs := make([]tenant.Spec, n)
	sql := tableSQL(plainSchema)
	for i := range specs {
		id := tenant.ID(fmt.Sprintf("bench-%05d", i))
		specs[i] = tenant.Spec{ID: id, Schema: fmt.Sprintf("bench_%05d", i)}
		sql += tableSQL(specs[i].Schema)
		if i%schemasPerSend == schemasPerSend-1 || i == n-1 {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return nil, fmt.Errorf("make tables: %w", err)
			}
			sql = ""
		}
	}
	return specs, nil
}

func tableSQL(schema string) string {
	r := strings.NewReplacer("$s", schema, "$n", fmt.Sprint(rowsPerTable))
	return r.Replace(`create schema $s;
create table $s.bench_items (id bigserial primary key, name text, amount bigint, created_at timestamptz);
insert into $s.bench_items (name, amount, created_at) select 'item ' || i, i, now() from generate_series(1, $n) i;
`)
}

// newLab opens the ways to the database of dsn, whose tables exist. connsLimit
// bounds the connections of each. Without install, ours is as plain as plain.
func newLab(ctx context.Context, dsn string, connsLimit int, specs []tenant.Spec, install installer) (*lab, error) {
	l := &lab{tenants: specs}
	fixed, err := pgdsn.With(dsn, "search_path", plainSchema)
	if err != nil {
		return nil, err
	}
	// Plain GORM keeps each tenant's statement prepared if it may keep as many.
	keeping, err := pgdsn.With(dsn, "statement_cache_capacity", fmt.Sprint(2*len(specs)+512))
	if err != nil {
		return nil, err
	}
	sources := [ways]string{plainWay: fixed, oursWay: dsn, setWay: dsn, qualifiedWay: keeping}
	if install == nil {
		sources[oursWay] = fixed
	}
	for w, source := range sources {
		db, err := gorm.Open(postgres.Open(source), &gorm.Config{Logger: logger.Discard})
		if err != nil {
			return nil, fmt.Errorf("open GORM: %w", err)
		}
		l.db[w] = db
		if w == oursWay && install != nil {
			stop, err := install(ctx, db, specs)
			if err != nil {
				return nil, err
			}
			l.close = append(l.close, stop)
		}
		if err := l.limit(db, connsLimit); err != nil {
			return nil, err
		}
	}
	for _, s := range specs {
		l.ctx = append(l.ctx, tenant.NewContext(ctx, s.ID))
	}
	return l, nil
}

func (l *lab) limit(db *gorm.DB, n int) error {
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("limit connections: %w", err)
	}
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	l.close = append(l.close, func() { pool.Close() })
	return nil
}

func (l *lab) stop() {
	for _, c := range l.close {
		c()
	}
}

// way does something as tenant i.
type way func(i int, do func(*gorm.DB) error) error

func (l *lab) way(w int) way {
	return func(i int, do func(*gorm.DB) error) error { return l.call(w, i, do) }
}

// call does something as tenant i, in one of the ways.
func (l *lab) call(way, i int, do func(*gorm.DB) error) error {
	db := l.db[way].WithContext(l.ctx[i])
	switch way {
	case plainWay, oursWay:
		return do(db)
	case qualifiedWay:
		return do(db.Table(l.tenants[i].Schema + ".bench_items"))
	}
	return db.Connection(func(tx *gorm.DB) error {
		if err := tx.Exec("SET search_path TO " + l.tenants[i].Schema).Error; err != nil {
			return err
		}
		if err := do(tx); err != nil {
			return err
		}
		return tx.Exec("RESET search_path").Error
	})
}

// first is the read of all measurements.
func first(id int64) func(*gorm.DB) error {
	return func(db *gorm.DB) error {
		var it Item
		if err := db.First(&it, id).Error; err != nil {
			return fmt.Errorf("read: %w", err)
		}
		return nil
	}
}

// create is the write: one row, in GORM's default transaction.
func create(db *gorm.DB) error {
	it := Item{Name: "new", Amount: 1}
	if err := db.Create(&it).Error; err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

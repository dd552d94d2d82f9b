package tenantplugin

import (
	"context"
	"errors"
	"iter"
	"sync"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Labelled is a row with its tenant.
type Labelled[T any] struct {
	Tenant tenant.ID
	Row    T
}

// Gather streams the rows of a query over many tenants, in no order but that of
// each tenant's own. query is called for each tenant that the filter selects (see
// ForEach) with a db whose context names it, and returns it with table and
// conditions:
//
//	for row, err := range tenantplugin.Gather[Invoice](ctx, db, registry.Filter{}, func(db *gorm.DB) *gorm.DB {
//		return db.Where("overdue").Limit(10)
//	})
//
// T is a model, or a struct for the columns that query selects. Rows are held in
// memory one at a time per tenant under way. Breaking off ends the statements. A
// tenant that fails yields its error with its ID, and the others go on; last comes
// the *FleetError of the run, if any, with no ID.
func Gather[T any](ctx context.Context, db *gorm.DB, filter registry.Filter, query func(db *gorm.DB) *gorm.DB, opts ...FleetOption) iter.Seq2[Labelled[T], error] {
	return func(yield func(Labelled[T], error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		g := &gathering[T]{items: make(chan item[T]), query: query, broken: ctx.Done()}
		var run sync.WaitGroup
		defer run.Wait()
		defer cancel()
		run.Go(func() {
			defer close(g.items)
			g.end = ForEach(ctx, db, filter, g.tenant, opts...)
		})
		for i := range g.items {
			if !yield(i.row, i.err) {
				return
			}
		}
		if g.end != nil {
			yield(Labelled[T]{}, g.end)
		}
	}
}

type item[T any] struct {
	row Labelled[T]
	err error
}

// gathering is one Gather. end is written before items is closed.
type gathering[T any] struct {
	items  chan item[T]
	query  func(*gorm.DB) *gorm.DB
	broken <-chan struct{} // the reader has broken off
	end    error
}

// tenant sends one tenant's rows, and its error.
func (g *gathering[T]) tenant(db *gorm.DB, t tenant.Tenant) error {
	err := g.rows(db, t.ID)
	if err == nil {
		return nil
	}
	g.send(item[T]{Labelled[T]{Tenant: t.ID}, err})
	return err
}

func (g *gathering[T]) rows(db *gorm.DB, id tenant.ID) (err error) {
	rows, err := g.query(db.Model(new(T))).Rows()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		row := Labelled[T]{Tenant: id}
		if err := db.ScanRows(rows, &row.Row); err != nil {
			return err
		}
		if !g.send(item[T]{row: row}) {
			return context.Canceled
		}
	}
	return rows.Err()
}

// send waits for the reader, and reports whether there is one.
func (g *gathering[T]) send(i item[T]) bool {
	select {
	case g.items <- i:
		return true
	case <-g.broken:
		return false
	}
}

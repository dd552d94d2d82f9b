package seed

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/model"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// How much each tenant gets.
const (
	Customers = 60
	Orders    = 300
)

// The days of the orders, for reports.
var (
	firstDay = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	lastDay  = time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC)
)

// Tenants makes sure that the tenants exist and have data, all at the same
// time. Those that exist are left as they are.
func Tenants(ctx context.Context, reg *registry.Registry, db *gorm.DB, ids ...tenant.ID) error {
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { errs[i] = ensure(ctx, reg, db, id) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func ensure(ctx context.Context, reg *registry.Registry, db *gorm.DB, id tenant.ID) error {
	if _, err := reg.Create(ctx, tenant.Spec{ID: id}); err != nil && !errors.Is(err, tenant.ErrExists) {
		return err
	}
	if err := Fill(tenant.NewContext(ctx, id), db, id); err != nil {
		return fmt.Errorf("fill tenant %s: %w", id, err)
	}
	return nil
}

// Fill writes the sample data of id into the tenant of ctx, all or nothing. A
// tenant that has products already is left alone.
func Fill(ctx context.Context, db *gorm.DB, id tenant.ID) error {
	return db.WithContext(ctx).Clauses(dbresolver.Write).Transaction(func(tx *gorm.DB) error {
		var n int64
		if err := tx.Model(&model.Product{}).Count(&n).Error; err != nil || n > 0 {
			return err
		}
		g := newGenerator(id)
		products, customers := g.products(), g.customers()
		if err := tx.Create(&products).Error; err != nil {
			return err
		}
		if err := tx.Create(&customers).Error; err != nil {
			return err
		}
		orders := g.orders(products, customers)
		return tx.CreateInBatches(&orders, 100).Error
	})
}

// generator makes one tenant's data.
type generator struct {
	rand  *rand.Rand
	id    tenant.ID
	trade trade
}

func newGenerator(id tenant.ID) *generator {
	h := fnv.New64a()
	h.Write([]byte(id))
	sum := h.Sum64()
	t, known := trades[id]
	if !known {
		t = allTrades[sum%uint64(len(allTrades))]
	}
	return &generator{rand.New(rand.NewPCG(sum, 1)), id, t}
}

func pick[T any](g *generator, from []T) T { return from[g.rand.IntN(len(from))] }

// products returns every article in every variant.
func (g *generator) products() []model.Product {
	var all []model.Product
	for _, a := range g.trade.articles {
		for v, variant := range g.trade.variants {
			all = append(all, model.Product{
				SKU:  fmt.Sprintf("%s-%03d", g.trade.prefix, len(all)+1),
				Name: a.name + ", " + variant,
				// The later variants cost more. All prices end in 9.
				PriceCents: a.cents*int64(4+v)/4/10*10 + 9,
				Stock:      int64(20 + g.rand.IntN(480)),
			})
		}
	}
	return all
}

func (g *generator) customers() []model.Customer {
	all := make([]model.Customer, Customers)
	for i := range all {
		first, last := pick(g, firstNames), pick(g, lastNames)
		all[i] = model.Customer{
			Name: first + " " + last, City: pick(g, cities),
			// The number keeps namesakes apart.
			Email: fmt.Sprintf("%s.%s.%d@%s.example", ascii(first), ascii(last), i+1, g.id),
		}
	}
	return all
}

// orders returns orders over time. A few customers place most of them, and one
// in twelve was cancelled.
func (g *generator) orders(products []model.Product, customers []model.Customer) []model.Order {
	all := make([]model.Order, Orders)
	span := lastDay.AddDate(0, 0, 1).Sub(firstDay)
	step := span / Orders
	for i := range all {
		at := firstDay.Add(step*time.Duration(i) + time.Duration(g.rand.Int64N(int64(step)))).Truncate(time.Second)
		o := model.Order{
			CustomerID: customers[min(g.rand.IntN(Customers), g.rand.IntN(Customers))].ID,
			Status:     model.Placed, PlacedAt: at, Lines: g.lines(products),
		}
		for _, l := range o.Lines {
			o.TotalCents += l.Quantity * l.UnitCents
		}
		if g.rand.IntN(12) == 0 {
			later := at.Add(time.Duration(1+g.rand.IntN(48)) * time.Hour)
			o.Status, o.CancelledAt = model.Cancelled, &later
		}
		all[i] = o
	}
	return all
}

// lines returns one to four different products.
func (g *generator) lines(products []model.Product) []model.OrderLine {
	var all []model.OrderLine
	for _, i := range g.rand.Perm(len(products))[:1+g.rand.IntN(4)] {
		all = append(all, model.OrderLine{
			ProductID: products[i].ID, Quantity: int64(1 + g.rand.IntN(5)), UnitCents: products[i].PriceCents,
		})
	}
	return all
}

package api

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/model"
)

// The limits of one order.
const (
	maxLines    = 50
	maxQuantity = 10_000
)

type orderInput struct {
	CustomerID *int64      `json:"customer_id"`
	Lines      []lineInput `json:"lines"`
}

type lineInput struct {
	ProductID *int64 `json:"product_id"`
	Quantity  *int64 `json:"quantity"`
}

// read returns the quantity of each product that is wanted.
func (in *orderInput) read(c echo.Context) (map[int64]int64, error) {
	if err := decode(c, in); err != nil {
		return nil, err
	}
	f, wanted := check(true), map[int64]int64{}
	f.number("customer_id", in.CustomerID, 1, 1<<62)
	if n := len(in.Lines); n < 1 || n > maxLines {
		f.fail("lines", "has %d entries, want 1 to %d", n, maxLines)
	}
	for i, l := range in.Lines {
		f.number(lineField(i, "product_id"), l.ProductID, 1, 1<<62)
		f.number(lineField(i, "quantity"), l.Quantity, 1, maxQuantity)
		if l.ProductID == nil || l.Quantity == nil {
			continue
		}
		if _, twice := wanted[*l.ProductID]; twice {
			f.fail(lineField(i, "product_id"), "is on another line already")
		}
		wanted[*l.ProductID] = *l.Quantity
	}
	_, err := f.done()
	return wanted, err
}

func lineField(i int, name string) string { return fmt.Sprintf("lines[%d].%s", i, name) }

// placeOrder places an order in one transaction: it locks the products, takes
// the goods out of stock, and computes the total from the prices that it has
// locked. An order is placed as a whole or not at all.
func (a *API) placeOrder(c echo.Context) error {
	var in orderInput
	wanted, err := in.read(c)
	if err != nil {
		return err
	}
	var o model.Order
	err = a.db(c).Transaction(func(tx *gorm.DB) error {
		o = model.Order{CustomerID: *in.CustomerID, Status: model.Placed, PlacedAt: tx.NowFunc()}
		if err := knownCustomer(tx, o.CustomerID); err != nil {
			return err
		}
		products, err := lockProducts(tx, wanted)
		if err != nil {
			return err
		}
		if err := inStock(products, wanted); err != nil {
			return err
		}
		for _, p := range products {
			n := wanted[p.ID]
			if err := addStock(tx, p.ID, -n); err != nil {
				return err
			}
			o.Lines = append(o.Lines, model.OrderLine{ProductID: p.ID, Quantity: n, UnitCents: p.PriceCents})
			o.TotalCents += n * p.PriceCents
		}
		return tx.Create(&o).Error
	})
	if err != nil {
		return err
	}
	return created(c, "/api/orders/", o.ID, o)
}

func knownCustomer(tx *gorm.DB, id int64) error {
	err := tx.Select("id").First(&model.Customer{}, id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return invalid(FieldError{"customer_id", "is no customer"})
	}
	return err
}

// lockProducts reads and locks the wanted products. Everybody locks them in
// the order of their IDs, so that two orders cannot wait for each other.
func lockProducts(tx *gorm.DB, wanted map[int64]int64) ([]model.Product, error) {
	var products []model.Product
	err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).
		Order("id").Find(&products, slices.Sorted(maps.Keys(wanted))).Error
	if err != nil {
		return nil, err
	}
	var missing []FieldError
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		if !slices.ContainsFunc(products, func(p model.Product) bool { return p.ID == id }) {
			missing = append(missing, FieldError{"lines", fmt.Sprintf("product %d does not exist", id)})
		}
	}
	if missing != nil {
		return nil, invalid(missing...)
	}
	return products, nil
}

func inStock(products []model.Product, wanted map[int64]int64) error {
	var short []FieldError
	for _, p := range products {
		if n := wanted[p.ID]; p.Stock < n {
			short = append(short, FieldError{"lines", fmt.Sprintf("product %d (%s): %d wanted, %d in stock", p.ID, p.SKU, n, p.Stock)})
		}
	}
	if short != nil {
		return conflict("out_of_stock", "not everything is in stock", short...)
	}
	return nil
}

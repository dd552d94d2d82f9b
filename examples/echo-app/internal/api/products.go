package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/model"
)

// The largest price and stock. With maxLines and maxQuantity, an order's total
// stays far below what an int64 holds.
const (
	maxPriceCents = 1_000_000_000
	maxStock      = 1_000_000_000
)

type productInput struct {
	SKU        *string `json:"sku"`
	Name       *string `json:"name"`
	PriceCents *int64  `json:"price_cents"`
	Stock      *int64  `json:"stock"`
}

func (in *productInput) read(c echo.Context, required bool) (map[string]any, error) {
	if err := decode(c, in); err != nil {
		return nil, err
	}
	f := check(required)
	f.text("sku", in.SKU, 40)
	f.text("name", in.Name, 200)
	f.number("price_cents", in.PriceCents, 0, maxPriceCents)
	if required {
		f.number("stock", in.Stock, 0, maxStock)
	} else if in.Stock != nil {
		// Setting it would undo the orders of the meantime.
		f.fail("stock", "is changed by POST /api/products/{id}/stock with a delta")
	}
	return f.done()
}

func (a *API) listProducts(c echo.Context) error {
	q, db := queryOf(c), a.db(c)
	if p := q.pattern("q"); p != "" {
		db = db.Where("name ILIKE ? OR sku ILIKE ?", p, p)
	}
	if q.flag("in_stock") {
		db = db.Where("stock > 0")
	}
	return list(c, q, db, false, func(x model.Product) int64 { return x.ID })
}

func (a *API) getProduct(c echo.Context) error { return getByID[model.Product](c, a.db(c)) }

func (a *API) createProduct(c echo.Context) error {
	var in productInput
	if _, err := in.read(c, true); err != nil {
		return err
	}
	x := model.Product{SKU: *in.SKU, Name: *in.Name, PriceCents: *in.PriceCents, Stock: *in.Stock}
	if err := a.db(c).Create(&x).Error; err != nil {
		return err
	}
	return created(c, "/api/products/", x.ID, x)
}

func (a *API) updateProduct(c echo.Context) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	columns, err := new(productInput).read(c, false)
	if err != nil {
		return err
	}
	return update[model.Product](c, a.db(c), id, columns)
}

// deleteProduct is refused by the database once the product was ordered.
func (a *API) deleteProduct(c echo.Context) error { return deleteByID[model.Product](c, a.db(c)) }

// changeStock adds to the stock, or takes away from it as far as there is
// something.
func (a *API) changeStock(c echo.Context) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	var in struct {
		Delta *int64 `json:"delta"`
	}
	if err := decode(c, &in); err != nil {
		return err
	}
	f := check(true)
	f.number("delta", in.Delta, -maxStock, maxStock)
	if _, err := f.done(); err != nil {
		return err
	}
	var x model.Product
	res := a.db(c).Model(&x).Clauses(clause.Returning{}).
		Where("id = ? AND stock + ? BETWEEN 0 AND ?", id, *in.Delta, maxStock).
		Update("stock", gorm.Expr("stock + ?", *in.Delta))
	switch {
	case res.Error != nil:
		return res.Error
	case res.RowsAffected > 0:
		return c.JSON(http.StatusOK, x)
	}
	if err := a.db(c).First(&x, id).Error; err != nil {
		return err
	}
	return conflict("out_of_stock", "the stock cannot change by so much")
}

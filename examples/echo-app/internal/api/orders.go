package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/model"
)

// listOrders answers with the newest orders first.
func (a *API) listOrders(c echo.Context) error {
	q := queryOf(c)
	db := a.db(c).Preload("Customer").Preload("Lines", inOrder).Preload("Lines.Product")
	if s := q.choice("status", "", model.Placed, model.Cancelled); s != "" {
		db = db.Where("status = ?", s)
	}
	if id := q.number("customer_id", 0, 1, 1<<62); id != 0 {
		db = db.Where("customer_id = ?", id)
	}
	if from := q.day("from", time.Time{}); !from.IsZero() {
		db = db.Where("placed_at >= ?", from)
	}
	if to := q.day("to", time.Time{}); !to.IsZero() {
		db = db.Where("placed_at < ?", to.AddDate(0, 0, 1))
	}
	return list(c, q, db, true, func(o model.Order) int64 { return o.ID })
}

func inOrder(db *gorm.DB) *gorm.DB { return db.Order("id") }

func (a *API) getOrder(c echo.Context) error {
	return getByID[model.Order](c, a.db(c).Preload("Customer").Preload("Lines", inOrder).Preload("Lines.Product"))
}

// cancelOrder puts the goods back. The order's lock lets only one of several
// cancellations do so.
func (a *API) cancelOrder(c echo.Context) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	var o model.Order
	err = a.db(c).Transaction(func(tx *gorm.DB) error {
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).First(&o, id).Error; err != nil {
			return err
		}
		if o.Status != model.Placed {
			return conflict("not_placed", "the order is "+o.Status+" already")
		}
		// In the order of products, as orders are placed: no deadlocks.
		if err := tx.Where("order_id = ?", id).Order("product_id").Find(&o.Lines).Error; err != nil {
			return err
		}
		for _, l := range o.Lines {
			if err := addStock(tx, l.ProductID, l.Quantity); err != nil {
				return err
			}
		}
		now := tx.NowFunc()
		o.Status, o.CancelledAt = model.Cancelled, &now
		return tx.Model(&o).Select("status", "cancelled_at").Updates(&o).Error
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, o)
}

func addStock(tx *gorm.DB, product, n int64) error {
	return tx.Model(&model.Product{}).Where("id = ?", product).Update("stock", gorm.Expr("stock + ?", n)).Error
}

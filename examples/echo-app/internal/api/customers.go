package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/model"
)

type customerInput struct {
	Name  *string `json:"name"`
	Email *string `json:"email"`
	City  *string `json:"city"`
}

func (in *customerInput) read(c echo.Context, required bool) (map[string]any, error) {
	if err := decode(c, in); err != nil {
		return nil, err
	}
	f := check(required)
	f.text("name", in.Name, 100)
	f.email("email", in.Email)
	f.text("city", in.City, 100)
	return f.done()
}

func (a *API) listCustomers(c echo.Context) error {
	q, db := queryOf(c), a.db(c)
	if p := q.pattern("q"); p != "" {
		db = db.Where("name ILIKE ? OR email ILIKE ? OR city ILIKE ?", p, p, p)
	}
	return list(c, q, db, false, func(x model.Customer) int64 { return x.ID })
}

func (a *API) getCustomer(c echo.Context) error { return getByID[model.Customer](c, a.db(c)) }

func (a *API) createCustomer(c echo.Context) error {
	var in customerInput
	if _, err := in.read(c, true); err != nil {
		return err
	}
	x := model.Customer{Name: *in.Name, Email: *in.Email, City: *in.City}
	if err := a.db(c).Create(&x).Error; err != nil {
		return err
	}
	return created(c, "/api/customers/", x.ID, x)
}

func (a *API) updateCustomer(c echo.Context) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	columns, err := new(customerInput).read(c, false)
	if err != nil {
		return err
	}
	return update[model.Customer](c, a.db(c), id, columns)
}

// deleteCustomer is refused by the database while there are orders.
func (a *API) deleteCustomer(c echo.Context) error { return deleteByID[model.Customer](c, a.db(c)) }

// update changes the given columns in one statement, and answers with the row.
func update[T any](c echo.Context, db *gorm.DB, id int64, columns map[string]any) error {
	var row T
	res := db.Model(&row).Clauses(clause.Returning{}).Where("id = ?", id).Updates(columns)
	if res.Error != nil {
		return res.Error
	}
	if res.RowsAffected == 0 {
		return gorm.ErrRecordNotFound
	}
	return c.JSON(http.StatusOK, row)
}

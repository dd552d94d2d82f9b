package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Directory knows where tenants live; a *registry.Registry is one.
type Directory interface {
	Lookup(ctx context.Context, id tenant.ID) (tenant.Tenant, error)
}

// API is the handlers' common ground. It is safe for concurrent use.
type API struct {
	root    *gorm.DB
	tenants Directory
}

// New returns the handlers over db. tenants is for whereami alone.
func New(db *gorm.DB, tenants Directory) *API { return &API{root: db, tenants: tenants} }

// Register adds the routes to g, which has to name the tenant in the context
// of its requests.
func (a *API) Register(g *echo.Group) {
	g.GET("/customers", a.listCustomers)
	g.POST("/customers", a.createCustomer)
	g.GET("/customers/:id", a.getCustomer)
	g.PATCH("/customers/:id", a.updateCustomer)
	g.DELETE("/customers/:id", a.deleteCustomer)

	g.GET("/products", a.listProducts)
	g.POST("/products", a.createProduct)
	g.GET("/products/:id", a.getProduct)
	g.PATCH("/products/:id", a.updateProduct)
	g.DELETE("/products/:id", a.deleteProduct)
	g.POST("/products/:id/stock", a.changeStock)

	g.GET("/orders", a.listOrders)
	g.POST("/orders", a.placeOrder)
	g.GET("/orders/:id", a.getOrder)
	g.POST("/orders/:id/cancel", a.cancelOrder)

	g.GET("/reports/sales", a.salesReport)
	g.GET("/whereami", a.whereAmI)
}

// db returns the database as the request's tenant sees it.
func (a *API) db(c echo.Context) *gorm.DB { return a.root.WithContext(c.Request().Context()) }

// created answers with what now exists at a path of its own.
func created(c echo.Context, path string, id int64, v any) error {
	c.Response().Header().Set(echo.HeaderLocation, path+strconv.FormatInt(id, 10))
	return c.JSON(http.StatusCreated, v)
}

// pathID returns the row that the request is about.
func pathID(c echo.Context) (int64, error) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, badRequest(FieldError{"id", "is no number above 0"})
	}
	return id, nil
}

// getByID answers with one row.
func getByID[T any](c echo.Context, db *gorm.DB) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	var row T
	if err := db.First(&row, id).Error; err != nil {
		return err
	}
	return c.JSON(http.StatusOK, row)
}

// deleteByID deletes one row.
func deleteByID[T any](c echo.Context, db *gorm.DB) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	res := db.Delete(new(T), id)
	if res.Error != nil {
		return res.Error
	}
	if res.RowsAffected == 0 {
		return gorm.ErrRecordNotFound
	}
	return c.NoContent(http.StatusNoContent)
}

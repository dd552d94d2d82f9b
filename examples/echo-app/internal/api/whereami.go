package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// place is where a statement ran, in the server's own words.
type place struct {
	Node   string `json:"node"` // its address and port
	Role   string `json:"role"` // primary or replica
	Schema string `json:"schema"`
}

// placeQuery asks about the server, not about data, so that the plugin would
// run it on the primary. The two callers say where they want it.
const placeQuery = `
SELECT coalesce(host(inet_server_addr()) || ':' || inet_server_port(), 'unix socket') AS node,
       CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE 'primary' END AS role,
       current_schema() AS schema`

// whereAmI shows what the other handlers need not know.
func (a *API) whereAmI(c echo.Context) error {
	ctx := c.Request().Context()
	id, err := tenant.FromContext(ctx)
	if err != nil {
		return err
	}
	t, err := a.tenants.Lookup(ctx, id)
	if err != nil {
		return err
	}
	answer := struct {
		Tenant tenant.ID `json:"tenant"`
		Shard  string    `json:"shard"`
		Reads  place     `json:"reads"`
		Writes place     `json:"writes"`
	}{Tenant: id, Shard: t.Placement.Shard}
	if err := a.ask(c, dbresolver.Read).Scan(&answer.Reads).Error; err != nil {
		return err
	}
	if err := a.ask(c, dbresolver.Write).Scan(&answer.Writes).Error; err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

func (a *API) ask(c echo.Context, op dbresolver.Operation) *gorm.DB {
	return a.db(c).Clauses(op).Raw(placeQuery)
}

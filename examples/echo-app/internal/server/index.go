package server

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

//go:embed index.html
var indexHTML string

var indexPage = template.Must(template.New("index").Parse(indexHTML))

// index lists the tenants and what to ask them. It is for looking around: a
// real application would not show its tenants to everybody.
func (s *Server) index(c echo.Context) error {
	tenants, err := s.cfg.Registry.List(c.Request().Context(), registry.Filter{State: tenant.StateActive})
	if err != nil {
		return err
	}
	var page bytes.Buffer
	err = indexPage.Execute(&page, map[string]any{
		"Host": c.Request().Host, "Header": TenantHeader, "Tenants": tenants,
	})
	if err != nil {
		return err
	}
	return c.HTMLBlob(http.StatusOK, page.Bytes())
}

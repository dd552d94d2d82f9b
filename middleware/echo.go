package middleware

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// Tenant returns the middleware for Echo. It panics if cfg.Validate has
// something to say, as Echo's own middleware does.
//
// A refused request does not reach the handler. As Echo's users expect, the
// refusal is returned, not written: the application's HTTPErrorHandler gets an
// *echo.HTTPError with the status, and renders it in its own way. errors.As
// finds the *Problem in it, and errors.Is its cause; its Message encodes to the
// problem document, so that Echo's default handler answers with
// application/problem+json. Retry-After and Cache-Control are on the response
// already. With Config.OnError, that writes the response and nil is returned.
func Tenant(cfg Config) echo.MiddlewareFunc {
	g := newGuard(cfg)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if g.skips(r) {
				return next(c)
			}
			g.begin(c.Response().Header())
			ctx, p := g.admit(c.Response().Header(), r, c)
			if p != nil {
				return g.refuseEcho(c, p)
			}
			c.SetRequest(r.WithContext(ctx))
			return next(c)
		}
	}
}

func (g *guard) refuseEcho(c echo.Context, p *Problem) error {
	if g.OnError != nil {
		g.refuse(c.Response(), c.Request(), p)
		return nil
	}
	g.log(c.Request(), p)
	return asEchoError(c, p)
}

// ErrorHandler returns an Echo error handler that turns what a statement said
// about the tenant (see ProblemFor) into the refusal that Tenant would have
// returned, and passes everything on to next. It lets a handler return GORM's
// errors as they are. nil stands for Echo's default handler:
//
//	e.HTTPErrorHandler = middleware.ErrorHandler(e.HTTPErrorHandler)
//
// An *echo.HTTPError is passed on unchanged: somebody has decided already.
func ErrorHandler(next echo.HTTPErrorHandler) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		var decided *echo.HTTPError
		if !c.Response().Committed && !errors.As(err, &decided) {
			if p := ProblemFor(c.Request().Context(), err); p != nil {
				err = asEchoError(c, p)
			}
		}
		if next == nil {
			c.Echo().DefaultHTTPErrorHandler(err, c)
			return
		}
		next(err, c)
	}
}

func asEchoError(c echo.Context, p *Problem) error {
	h := c.Response().Header()
	p.setHeaders(h)
	return &echo.HTTPError{Code: p.status(), Message: &echoMessage{Problem: p, header: h}, Internal: p}
}

// echoMessage is a problem that names its media type when Echo encodes it as a
// JSON response. The type cannot be set beforehand: Echo would keep it also
// for an application's HTML page.
type echoMessage struct {
	*Problem
	header http.Header
}

// MarshalJSON is called by Echo's Context.JSON after it has set the type, and
// before it writes.
func (m *echoMessage) MarshalJSON() ([]byte, error) {
	if strings.HasPrefix(m.header.Get(echo.HeaderContentType), echo.MIMEApplicationJSON) {
		m.header.Set(echo.HeaderContentType, contentType)
	}
	return m.Problem.MarshalJSON()
}

package middleware

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// Path reads the path's segment after prefix: with Path("/t/"), /t/acme/orders
// names acme. Other paths say nothing. The segment is read as it was sent,
// before percent-decoding, and an ID needs no encoding: so %2e and %2f cannot
// become dots and slashes, and a tenant has one spelling only. A path that is
// under prefix only once it is decoded is refused.
//
// The path is not shortened: routes see it whole.
func Path(prefix string) Source {
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return path{prefix: prefix}
}

type path struct{ prefix string }

func (p path) Name() string { return "path " + p.prefix }

func (p path) Extract(r *http.Request) (string, bool, error) {
	rest, found := strings.CutPrefix(r.URL.EscapedPath(), p.prefix)
	if !found {
		if strings.HasPrefix(r.URL.Path, p.prefix) {
			return "", false, invalid("percent-encoding in "+p.Name()+": send it plain", nil)
		}
		return "", false, nil
	}
	id, _, _ := strings.Cut(rest, "/")
	return id, true, nil
}

func (p path) validate() error {
	if len(p.prefix) < 2 || p.prefix[0] != '/' || strings.Contains(p.prefix, "//") {
		return fmt.Errorf("path prefix %s: want one such as /t/", shown(p.prefix))
	}
	for i := range len(p.prefix) {
		if c := p.prefix[i]; !isAlnum(c) && !strings.ContainsRune("/-_.~", rune(c)) {
			return fmt.Errorf("path prefix %s: only letters, digits and -_.~ are allowed; for patterns use PathParam", shown(p.prefix))
		}
	}
	return nil
}

// PathParam reads the route's parameter of this name: ":name" in Echo, where
// the middleware has to be added with Use, not Pre; "{name}" in http.ServeMux,
// where it has to wrap the handler, not the mux, since the mux sets it. Routes
// without the parameter say nothing, and an empty one counts as absent.
func PathParam(name string) EchoSource { return pathParam{name: name} }

type pathParam struct{ name string }

func (p pathParam) Name() string { return "path parameter " + p.name }

func (p pathParam) Extract(r *http.Request) (string, bool, error) {
	id := r.PathValue(p.name)
	return id, id != "", nil
}

func (p pathParam) ExtractEcho(c echo.Context) (string, bool, error) {
	id := c.Param(p.name)
	return id, id != "", nil
}

func (p pathParam) validate() error {
	if !isLabel(p.name) {
		return fmt.Errorf("path parameter %s: want its bare name, such as tenant", shown(p.name))
	}
	return nil
}

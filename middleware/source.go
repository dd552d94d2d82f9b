package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/labstack/echo/v4"
)

// Source is a place in a request where a tenant may be named.
type Source interface {
	// Name says where, for refusals and logs: "header X-Tenant-ID".
	Name() string
	// Extract returns the ID as it stands; it need not be valid. found is
	// false if the request says nothing here. An error refuses the request:
	// a *Problem as it is, an error that ProblemFor knows as that, and any
	// other as 400 tenant_invalid without repeating its text to the client.
	Extract(r *http.Request) (id string, found bool, err error)
}

// EchoSource is a Source that reads Echo's context where there is one.
type EchoSource interface {
	Source
	// ExtractEcho is called in place of Extract under Echo.
	ExtractEcho(c echo.Context) (id string, found bool, err error)
}

// VarySource is a Source that depends on a request header, so that caches
// have to be told.
type VarySource interface {
	Source
	// Vary returns the header's name, for the response's Vary.
	Vary() string
}

// Header reads the request header of this name. Whoever can send a request
// can set it: list it only where a proxy overwrites it, or beside a Claim. A
// header that is there but empty, or there more than once, is refused.
func Header(name string) Source {
	return header{name: name, key: textproto.CanonicalMIMEHeaderKey(name)}
}

type header struct{ name, key string }

func (h header) Name() string { return "header " + h.name }
func (h header) Vary() string { return h.key }

func (h header) Extract(r *http.Request) (string, bool, error) {
	switch v := r.Header[h.key]; len(v) {
	case 0:
		return "", false, nil
	case 1:
		return v[0], true, nil
	default:
		return "", false, invalid(fmt.Sprintf("%s is given %d times: send it once", h.Name(), len(v)), nil)
	}
}

func (h header) validate() error {
	if h.name == "" {
		return errors.New("header name is empty")
	}
	if h.key == "Host" {
		return errors.New("header Host: net/http keeps the host elsewhere: use Subdomain")
	}
	for i := range len(h.name) {
		if c := h.name[i]; !isAlnum(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return fmt.Errorf("header name %s: only letters, digits and !#$%%&'*+-.^_`|~ are allowed", shown(h.name))
		}
	}
	return nil
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Claim reads what the application's own authentication knows of the request,
// such as the organisation in a verified token. name is for refusals and
// logs. The authentication has to run before this middleware, and read must
// not take a token at its word.
func Claim(name string, read func(r *http.Request) (id string, found bool, err error)) Source {
	return claim{name: name, read: read}
}

// ContextClaim is a Claim for a value that the authentication put into the
// request's context.
func ContextClaim(name string, read func(ctx context.Context) (id string, found bool)) Source {
	if read == nil {
		return claim{name: name}
	}
	return claim{name: name, read: func(r *http.Request) (string, bool, error) {
		id, found := read(r.Context())
		return id, found, nil
	}}
}

type claim struct {
	name string
	read func(*http.Request) (string, bool, error)
}

func (c claim) Name() string                                  { return "claim " + c.name }
func (c claim) Extract(r *http.Request) (string, bool, error) { return c.read(r) }

func (c claim) validate() error { return validateClaim(c.name, c.read == nil) }

// EchoClaim is a Claim for what Echo's middleware left in Echo's context, as
// the JWT middleware does with c.Set("user", token). HTTP refuses it.
func EchoClaim(name string, read func(c echo.Context) (id string, found bool, err error)) EchoSource {
	return echoClaim{name: name, read: read}
}

type echoClaim struct {
	name string
	read func(echo.Context) (string, bool, error)
}

var errNeedsEcho = errors.New("it reads Echo's context: use it with middleware.Tenant, or middleware.Claim under net/http")

func (c echoClaim) Name() string                                      { return "claim " + c.name }
func (c echoClaim) ExtractEcho(ec echo.Context) (string, bool, error) { return c.read(ec) }
func (c echoClaim) Extract(*http.Request) (string, bool, error)       { return "", false, errNeedsEcho }

func (c echoClaim) validate() error { return validateClaim(c.name, c.read == nil) }

func validateClaim(name string, noFunc bool) error {
	switch {
	case name == "":
		return errors.New("claim without a name")
	case noFunc:
		return fmt.Errorf("claim %s: no function to read it", shown(name))
	}
	return nil
}

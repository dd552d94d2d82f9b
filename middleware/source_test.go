package middleware

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// refused stands in the tables for "the source returns an error".
const refused = "\x00refused"

// absent stands in the tables for "the source says nothing".
const absent = "\x00absent"

func checkExtract(t *testing.T, s Source, r *http.Request, want string) {
	t.Helper()
	id, found, err := s.Extract(r)
	got := id
	switch {
	case err != nil:
		got = refused
		if p := new(Problem); !errors.As(err, &p) || p.Status != http.StatusBadRequest {
			t.Errorf("error %v is no problem with status 400", err)
		}
	case !found:
		got = absent
	}
	if got != want {
		t.Errorf("%s found %q, want %q", s.Name(), got, want)
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		give []string
		want string
	}{
		{"none", nil, absent},
		{"one", []string{"acme"}, "acme"},
		{"empty", []string{""}, ""},
		{"as it stands", []string{"ACME, x"}, "ACME, x"},
		{"twice", []string{"acme", "globex"}, refused},
		{"twice the same", []string{"acme", "acme"}, refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			for _, v := range tt.give {
				r.Header.Add("X-Tenant-ID", v)
			}
			r.Header.Set("X-Tenant", "other")
			checkExtract(t, Header("x-tenant-id"), r, tt.want)
		})
	}
}

func TestSubdomain(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"acme.example.com":           "acme",
		"acme.example.com:8080":      "acme",
		"acme.example.com.":          "acme",
		"acme.example.com.:8080":     "acme",
		"ACME.Example.COM":           "acme",
		"acme.example.com:":          "acme",
		"example.com":                absent,
		"example.com:80":             absent,
		"":                           absent,
		"acme.example.org":           absent,
		"acmeexample.com":            absent,
		"evil.com":                   absent,
		"acme.example.com.evil.com":  absent,
		"acme.example.com..":         absent,
		"[::1]:8080":                 absent,
		"127.0.0.1":                  absent,
		"www.example.com":            absent,
		"WWW.example.com":            absent,
		"a.b.example.com":            "a.b",
		"www.acme.example.com":       "www.acme",
		".example.com":               "",
		"xn--acme.example.com":       refused,
		"XN--acme.example.com":       refused,
		"acme.example.com:80:80":     refused,
		"acme.example.com:x":         refused,
		"acme.example.com:80@evil":   refused,
		"ac\u212ame.example.com":     "ac\u212ame", // the Kelvin sign is no k
		"AC\u212aME.example.com":     "ac\u212ame",
		"acme.e\u212aample.com":      absent,
		"acme%2eexample.com":         absent,
		"acme/.example.com":          "acme/",
		"evil.com/acme.example.com":  "evil.com/acme",
		"acme.example.com\x00":       absent,
		"acme\x00.example.com":       "acme\x00",
		"user@acme.example.com":      "user@acme",
		"acme.example.com:80.":       refused,
		"evil:80.acme.example.com":   absent,
		"acme.example.com:999999999": "acme",
	}
	s := Subdomain("Example.com", "WWW")
	for host, want := range tests {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = host
			r.Header.Set("X-Forwarded-Host", "globex.example.com")
			checkExtract(t, s, r, want)
		})
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"/t/acme":              "acme",
		"/t/acme/":             "acme",
		"/t/acme/orders?x=1":   "acme",
		"/t/acme?x=/t/globex":  "acme",
		"/t/":                  "",
		"/t//acme":             "",
		"/t":                   absent,
		"/":                    absent,
		"//t/acme":             absent,
		"/tt/acme":             absent,
		"/x/t/acme":            absent,
		"/T/acme":              absent,
		"/x/../t/acme":         absent,
		"/t/..":                "..",
		"/t/../t/acme":         "..",
		"/t/%61cme":            "%61cme",
		"/t/acme%2fglobex":     "acme%2fglobex",
		"/t/%2e%2e/acme":       "%2e%2e",
		"/t/%252e%252e":        "%252e%252e",
		"/t/acme%00":           "acme%00",
		"/t/caf\u00e9":         "caf%C3%A9",
		"/%74/acme":            refused,
		"/t%2facme":            refused,
		"/t/acme/%2e%2e/other": "acme",
	}
	for target, want := range tests {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, target, nil)
			checkExtract(t, Path("/t/"), r, want)
			checkExtract(t, Path("/t"), r, want)
		})
	}
}

func TestPathParam(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"/t/acme/orders": "acme",
		"/t/ACME/orders": "ACME",
		"/none/orders":   absent,
	}
	for target, want := range tests {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, target, nil)
			seen := 0
			handler := func(_ http.ResponseWriter, r *http.Request) {
				seen++
				checkExtract(t, PathParam("tenant"), r, want)
			}
			mux := http.NewServeMux()
			mux.HandleFunc("/t/{tenant}/orders", handler)
			mux.HandleFunc("/none/orders", handler)
			mux.ServeHTTP(httptest.NewRecorder(), r)

			e := echo.New()
			echoHandler := func(c echo.Context) error {
				seen++
				id, found, err := PathParam("tenant").ExtractEcho(c)
				if err != nil || found != (want != absent) || found && id != want {
					t.Errorf("Echo: %q, %v, %v; want %q", id, found, err, want)
				}
				return nil
			}
			e.GET("/t/:tenant/orders", echoHandler)
			e.GET("/none/orders", echoHandler)
			e.ServeHTTP(httptest.NewRecorder(), r)
			if seen != 2 {
				t.Errorf("%d handlers ran, want 2", seen)
			}
		})
	}
}

func TestContextClaim(t *testing.T) {
	t.Parallel()
	type key struct{}
	s := ContextClaim("org", func(ctx context.Context) (string, bool) {
		id, ok := ctx.Value(key{}).(string)
		return id, ok
	})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	checkExtract(t, s, r, absent)
	checkExtract(t, s, r.WithContext(context.WithValue(r.Context(), key{}, "acme")), "acme")
}

func TestValidate(t *testing.T) {
	t.Parallel()
	with := func(s ...Source) Config { return Config{Registry: town(), From: s} }
	tests := []struct {
		name string
		cfg  Config
		want string // part of the error; empty for none
	}{
		{"good", headerOrHost(town()), ""},
		{"localhost", with(Subdomain("localhost")), ""},
		{"relative path", with(Path("t/"), Header("X")), "path prefix"},
		{"no registry", Config{From: []Source{Header("X")}}, "no Config.Registry"},
		{"no sources", with(), "no Config.From"},
		{"nil source", with(Header("X"), nil), "From[1] is nil"},
		{"empty header", with(Header("")), "header name is empty"},
		{"header with space", with(Header("X Tenant")), "header name \"X Tenant\""},
		{"header with newline", with(Header("X\r\nY")), `"X\r\nY"`},
		{"host as header", with(Header("host")), "use Subdomain"},
		{"empty base", with(Subdomain("")), "base domain is empty"},
		{"base with spaces", with(Subdomain("example .com")), "base domain"},
		{"base with port", with(Subdomain("example.com:80")), "base domain"},
		{"base with scheme", with(Subdomain("https://example.com")), "base domain"},
		{"base with dot", with(Subdomain(".example.com")), "base domain"},
		{"base is an address", with(Subdomain("10.0.0.1")), "no subdomains"},
		{"bad skip", with(Subdomain("example.com", "a.b")), "skipped label"},
		{"root path", with(Path("/")), "path prefix"},
		{"empty path", with(Path("")), "path prefix"},
		{"path pattern", with(Path("/t/{tenant}/")), "use PathParam"},
		{"double slash", with(Path("/t//")), "path prefix"},
		{"param with colon", with(PathParam(":tenant")), "bare name"},
		{"claim without name", with(Claim("", nil)), "without a name"},
		{"claim without function", with(Claim("org", nil)), "no function"},
		{"context claim without function", with(ContextClaim("org", nil)), "no function"},
		{"echo claim without function", with(EchoClaim("org", nil)), "no function"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.cfg.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Validate: %v, want %q", err, tt.want)
			}
			for form, build := range map[string]func(){"HTTP": func() { HTTP(tt.cfg) }, "Tenant": func() { Tenant(tt.cfg) }} {
				if got := panicOf(build); (got == nil) != (err == nil) {
					t.Errorf("%s panics with %v, Validate says %v", form, got, err)
				}
			}
		})
	}
}

func TestHTTPRefusesEchoClaim(t *testing.T) {
	t.Parallel()
	cfg := Config{Registry: town(), Logger: quiet, From: []Source{
		EchoClaim("org", func(echo.Context) (string, bool, error) { return "acme", true, nil }),
	}}
	err, _ := panicOf(func() { HTTP(cfg) }).(error)
	if !errors.Is(err, errNeedsEcho) {
		t.Errorf("HTTP panics with %v, want %v", err, errNeedsEcho)
	}
	if got := panicOf(func() { Tenant(cfg) }); got != nil {
		t.Errorf("Tenant panics: %v", got)
	}
}

func panicOf(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Subdomain reads the label in front of base in the request's host:
// acme.example.com names acme below Subdomain("example.com"). Hosts that are
// base itself, or not below it, say nothing; nor do the labels in skip, such
// as "www". Port, one trailing dot and the case of ASCII letters do not count,
// as DNS has it. More than one label, and punycode (xn--, which browsers show
// as letters that look like others), are refused.
//
// It reads the Host of the request, never X-Forwarded-Host.
func Subdomain(base string, skip ...string) Source {
	lower := make([]string, len(skip))
	for i, s := range skip {
		lower[i] = lowerASCII(s)
	}
	return subdomain{base: lowerASCII(base), skip: lower}
}

type subdomain struct {
	base string
	skip []string
}

func (s subdomain) Name() string { return "subdomain of " + s.base }

func (s subdomain) Extract(r *http.Request) (string, bool, error) {
	host, port, hasPort := strings.Cut(r.Host, ":")
	host = strings.TrimSuffix(host, ".")
	dot := len(host) - len(s.base) - 1
	if dot < 0 || host[dot] != '.' || lowerASCII(host[dot+1:]) != s.base {
		return "", false, nil
	}
	if hasPort && !digits(port) {
		return "", false, invalid("the request's host "+shown(r.Host)+" has a malformed port", nil)
	}
	label := lowerASCII(host[:dot])
	if slices.Contains(s.skip, label) {
		return "", false, nil
	}
	if strings.HasPrefix(label, "xn--") {
		return "", false, invalid(s.Name()+": "+shown(label)+" is punycode, which is no tenant's name", nil)
	}
	// Several labels keep their dots here, which no ID has.
	return label, true, nil
}

func (s subdomain) validate() error {
	if s.base == "" {
		return errors.New("base domain is empty: want a domain such as example.com")
	}
	labels := strings.Split(s.base, ".")
	for _, l := range labels {
		if !isLabel(l) {
			return fmt.Errorf("base domain %s: want a bare domain such as example.com, without scheme, port, spaces or outer dots", shown(s.base))
		}
	}
	if digits(labels[len(labels)-1]) {
		return fmt.Errorf("base domain %s: an address has no subdomains", shown(s.base))
	}
	for _, l := range s.skip {
		if !isLabel(l) {
			return fmt.Errorf("skipped label %s of %s: want a single label such as www", shown(l), s.base)
		}
	}
	return nil
}

// HostDirectory knows which tenant a host name leads to; a *registry.Registry is one.
type HostDirectory interface {
	// LookupHost returns the tenant of a host name, which has no port and no last
	// dot. An error that wraps tenant.ErrUnknown says that there is none; any other is
	// answered 503. It is asked once per request, so it should answer from memory.
	LookupHost(ctx context.Context, host string) (tenant.Tenant, error)
}

// Host asks dir which tenant the request's host leads to: customers' own domains. Port,
// one trailing dot and the case of ASCII letters do not count. A host that leads
// nowhere says nothing; if no other source says more, the answer is 404.
//
// It reads the Host of the request, never X-Forwarded-Host.
func Host(dir HostDirectory) Source { return hostSource{dir} }

type hostSource struct{ dir HostDirectory }

func (s hostSource) Name() string { return "host" }

// errNowhere says that a host is no tenant's.
var errNowhere = fmt.Errorf("the request's host: %w", tenant.ErrUnknown)

func (s hostSource) Extract(r *http.Request) (string, bool, error) {
	host, port, hasPort := strings.Cut(r.Host, ":")
	host = lowerASCII(strings.TrimSuffix(host, "."))
	for label := range strings.SplitSeq(host, ".") {
		if !isLabel(label) {
			return "", false, errNowhere
		}
	}
	if hasPort && !digits(port) {
		return "", false, invalid("the request's host "+shown(r.Host)+" has a malformed port", nil)
	}
	t, err := s.dir.LookupHost(r.Context(), host)
	switch {
	case errors.Is(err, tenant.ErrUnknown):
		return "", false, errNowhere
	case err != nil:
		return "", false, unavailable(err)
	}
	return string(t.ID), true, nil
}

func (s hostSource) validate() error {
	if s.dir == nil {
		return errors.New("host: no directory to look it up in: give it the registry")
	}
	return nil
}

func isLabel(l string) bool {
	for i := range len(l) {
		if !isAlnum(l[i]) && l[i] != '-' && l[i] != '_' {
			return false
		}
	}
	return l != ""
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// lowerASCII folds A-Z only. strings.ToLower would turn the Kelvin sign into
// a k, and with it a look-alike into somebody's name.
func lowerASCII(s string) string {
	i := 0
	for i < len(s) && (s[i] < 'A' || s[i] > 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	b := []byte(s)
	for ; i < len(b); i++ {
		if b[i] >= 'A' && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

package middleware

import (
	"net/http"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Transport returns a RoundTripper for requests to services of one's own: it sends
// each with the tenant of its context in the header tenant.CarrierKey, and without
// it where the context is Shared. A request without a tenant fails with
// tenant.ErrNone and is not sent. next is http.DefaultTransport if nil.
func Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return transport{next}
}

type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context()) // a RoundTripper may not change its request
	out.Header.Del(tenant.CarrierKey)
	if !tenant.IsShared(r.Context()) {
		if err := tenant.Inject(r.Context(), out.Header); err != nil {
			if r.Body != nil {
				_ = r.Body.Close() // as RoundTrip must, whatever comes of it
			}
			return nil, err
		}
	}
	return t.next.RoundTrip(out)
}

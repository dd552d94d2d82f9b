package tenant

import (
	"context"
	"fmt"
)

// CarrierKey is the key under which a tenant travels.
const CarrierKey = "X-Tenant-ID"

// Carrier is a set of texts that travels with a message: the header of a request
// or a response (http.Header is one), the attributes of a job, a MapCarrier. It has
// the methods that OpenTelemetry's TextMapCarrier has, too.
type Carrier interface {
	Get(key string) string
	Set(key, value string)
}

// MapCarrier is a Carrier for payloads: it marshals to a JSON object of texts.
type MapCarrier map[string]string

// Get returns the text of key, empty if there is none.
func (m MapCarrier) Get(key string) string { return m[key] }

// Set sets the text of key.
func (m MapCarrier) Set(key, value string) { m[key] = value }

// Inject writes the tenant of ctx into c, so that Extract finds it at the other
// end. The error is FromContext's: a message without a tenant is not to be sent.
func Inject(ctx context.Context, c Carrier) error {
	id, err := FromContext(ctx)
	if err != nil {
		return err
	}
	c.Set(CarrierKey, string(id))
	return nil
}

// Extract returns ctx with the tenant that Inject wrote into c; a tenant that ctx
// named before is replaced. It believes what c says: let it be a message of your
// own, and leave requests from outside to package middleware. The error is ErrNone
// if c names none, or wraps ErrInvalidID; the context fails closed then.
func Extract(ctx context.Context, c Carrier) (context.Context, error) {
	id := c.Get(CarrierKey)
	if id == "" {
		return refusing(ctx, ErrNone)
	}
	if several, ok := c.(interface{ Values(key string) []string }); ok {
		if n := len(several.Values(CarrierKey)); n > 1 {
			return refusing(ctx, fmt.Errorf("%w: %s is there %d times", ErrInvalidID, CarrierKey, n))
		}
	}
	ctx = NewContext(ctx, ID(id))
	_, err := FromContext(ctx)
	return ctx, err
}

// refusing returns ctx with an error for a tenant.
func refusing(ctx context.Context, err error) (context.Context, error) {
	return context.WithValue(orEmpty(ctx), scopeKey{}, &scope{err: err}), err
}

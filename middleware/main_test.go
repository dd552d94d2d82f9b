package middleware

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// directory is a registry in a map. It remembers whom it was asked for.
type directory struct {
	states map[tenant.ID]tenant.State
	fail   error

	mu    sync.Mutex // guards asked
	asked []tenant.ID
}

// town has one tenant in each state.
func town() *directory {
	return &directory{states: map[tenant.ID]tenant.State{
		"acme": tenant.StateActive, "globex": tenant.StateMoving, "hooli": tenant.StateSuspended,
		"initech": tenant.StateProvisioning, "umbrella": tenant.StateArchived,
		"xn--acme": tenant.StateActive, "www": tenant.StateActive,
	}}
}

func (d *directory) Lookup(_ context.Context, id tenant.ID) (tenant.Tenant, error) {
	d.mu.Lock()
	d.asked = append(d.asked, id)
	d.mu.Unlock()
	if d.fail != nil {
		return tenant.Tenant{}, d.fail
	}
	state, ok := d.states[id]
	if !ok {
		return tenant.Tenant{}, fmt.Errorf("look up %s: %w", id, tenant.ErrUnknown)
	}
	return tenant.Tenant{ID: id, State: state}, nil
}

var (
	quiet       = slog.New(slog.NewTextHandler(io.Discard, nil))
	errRegistry = errors.New("control plane at 10.0.0.7 refused the password")
)

// headerOrHost is the contract's configuration.
func headerOrHost(d Directory) Config {
	return Config{Registry: d, Logger: quiet, From: []Source{Header("X-Tenant-ID"), Subdomain("example.com")}}
}

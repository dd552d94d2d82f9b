package routing

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// policy is a quota.Source that tests change.
type policy struct {
	mu   sync.Mutex
	now  quota.Policy
	tell func()
}

func (p *policy) Policy(context.Context) (quota.Policy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now, nil
}

func (p *policy) OnPolicyChange(fn func()) (cancel func()) {
	p.tell = fn
	return func() {}
}

func (p *policy) set(t *testing.T, next quota.Policy) {
	t.Helper()
	before := lab.limits.Stats().Loads
	p.mu.Lock()
	p.now = next
	p.mu.Unlock()
	p.tell()
	eventually(t, "the policy to be read", func() bool { return lab.limits.Stats().Loads > before })
}

// A lane that keeps reads off the primary refuses those that no replica can serve;
// writes, and other tenants, go on.
func TestLaneReadsReplicasOnly(t *testing.T) {
	ctx, other := newTenant(t), newTenant(t)
	settled(t, ctx)
	id, err := tenant.FromContext(ctx)
	must(t, err)
	lab.policy.set(t, quota.Policy{
		Lane:        quota.Lane{ReadReplicasOnly: true},
		Quarantined: map[tenant.ID]quota.Quarantine{id: {Until: time.Now().Add(time.Hour)}},
	})
	defer lab.policy.set(t, quota.Policy{})
	if at := routeOf(t, ctx, count); !at.Replica {
		t.Errorf("it reads on %+v", at)
	}
	resume := heldBack(t)
	for _, c := range []context.Context{ctx, other} {
		must(t, exec("insert into items (name) values ('mine')")(lab.db.WithContext(c)))
	}
	var limited *quota.LimitError
	if err := count(lab.db.WithContext(ctx)); !errors.As(err, &limited) || limited.Limit != quota.LimitReplicas {
		t.Errorf("while no replica is fresh: %v", err)
	}
	if at := routeOf(t, other, count); at.Replica {
		t.Errorf("another tenant reads its write on %+v", at)
	}
	resume()
	eventually(t, "the replica to serve again", func() bool { return count(lab.db.WithContext(ctx)) == nil })
}

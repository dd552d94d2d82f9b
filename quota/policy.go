package quota

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// TierAny stands in Policy.Tiers for the tiers that are not named there.
const TierAny tenant.Tier = "*"

// Policy is all that is decided about tenants' limits. It is not changed after
// a Source has returned it.
type Policy struct {
	// Tiers are the limits of the tenants of a tier; TierAny those of the tiers
	// that are not named. A tenant of neither is unlimited.
	Tiers map[tenant.Tier]Limits
	// Tenants are exceptions: what Limits.With lays over the tier's limits.
	Tenants map[tenant.ID]json.RawMessage
	// Lane is what holds for tenants in quarantine, where it is stricter.
	Lane Lane
	// Quarantined are the tenants in quarantine.
	Quarantined map[tenant.ID]Quarantine
	// Full are the tenants that are over their storage, with their size in bytes.
	Full map[tenant.ID]int64
}

// Lane is how tenants in quarantine run.
type Lane struct {
	Limits
	// ReadReplicasOnly keeps their reads off the primaries.
	ReadReplicasOnly bool `json:"read_replicas_only,omitempty"`
}

// UnmarshalJSON replaces l by what data says, as strictly as that of Limits.
func (l *Lane) UnmarshalJSON(data []byte) error {
	const replicas = "read_replicas_only"
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return fmt.Errorf("%w: lane: %w", ErrInvalidLimits, err)
	}
	var next Lane
	if raw, ok := object[replicas]; ok {
		if err := json.Unmarshal(raw, &next.ReadReplicasOnly); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvalidLimits, replicas, err)
		}
		delete(object, replicas)
	}
	var p patch
	if err := p.read(object); err != nil {
		return fmt.Errorf("lane: %w", err)
	}
	next.Limits = p.values
	*l = next
	return nil
}

// Quarantine is a tenant's stay in the lane.
type Quarantine struct {
	// Until is when it ends. From then on the tenant's own limits hold again.
	Until time.Time
	// DryRun changes nothing for the tenant.
	DryRun bool
	// Reason is for people.
	Reason string
	// Relapses is how often the tenant came back.
	Relapses int
}

// Source knows the policy; a *registry.Registry is one.
type Source interface {
	// Policy returns what is decided now.
	Policy(ctx context.Context) (Policy, error)
	// OnPolicyChange calls fn, which returns at once, when it may have changed.
	OnPolicyChange(fn func()) (cancel func())
}

// policy is a Policy that was read, with its exceptions.
type policy struct {
	Policy
	exceptions map[tenant.ID]*patch
}

// compile reads a policy. Limits of a tier or the lane that make no sense are
// an error. An exception that cannot be read is left at what it was in last,
// nil for none, so that one tenant's does not keep all others' from changing;
// broken says which.
func compile(p Policy, last *policy) (next *policy, broken, err error) {
	for tier, l := range p.Tiers {
		if err := l.Validate(); err != nil {
			return nil, nil, fmt.Errorf("tier %.64q: %w", tier, err)
		}
	}
	if err := p.Lane.Validate(); err != nil {
		return nil, nil, fmt.Errorf("lane: %w", err)
	}
	next = &policy{Policy: p, exceptions: make(map[tenant.ID]*patch, len(p.Tenants))}
	var bad []error
	for id, raw := range p.Tenants {
		parsed, err := parsePatch(raw)
		if err == nil {
			next.exceptions[id] = &parsed
			continue
		}
		bad = append(bad, fmt.Errorf("tenant %s: %w", id, err))
		if last != nil && last.exceptions[id] != nil {
			next.exceptions[id] = last.exceptions[id]
		}
	}
	return next, errors.Join(bad...), nil
}

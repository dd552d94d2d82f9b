package tenantplugin

import (
	"sync"

	"github.com/gormtenancy/gormtenancy/migrations"
)

// migrated counts what became of tenants in runs of migrations.
type migrated struct {
	mu     sync.Mutex // guards counts
	counts map[ending]uint64
}

type ending struct {
	shard   string
	outcome migrations.Outcome
}

// CountMigration counts a tenant's end in a run of migrations, for WithMetrics: give it to
// migrations.Options.Observe, or call it from there.
func (p *Plugin) CountMigration(m migrations.Progress) {
	p.migrated.mu.Lock()
	defer p.migrated.mu.Unlock()
	if p.migrated.counts == nil {
		p.migrated.counts = map[ending]uint64{}
	}
	p.migrated.counts[ending{m.Shard, m.Outcome}]++
}

func (ch sender) migrations(m *migrated) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for e, n := range m.counts {
		ch.counter(migrationsEnded, float64(n), e.shard, string(e.outcome))
	}
}

package tenanttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// ProveConfig says what Prove does.
type ProveConfig struct {
	// Tenants exist and are active. At least two.
	Tenants []tenant.ID
	// Operations in all. Default 10,000.
	Operations int
	// Workers run at the same time. Default 16.
	Workers int
	// Seed makes each worker's choice of operations repeatable; how many each
	// gets to is the scheduler's. Default: random, and printed.
	Seed uint64
	// Disturb, if not nil, is called again and again while the operations run:
	// to kill connections, restart a node.
	Disturb func(ctx context.Context)
	// LeaveBehind has tenants leave temporary tables, a search_path and missing
	// prepared statements on their sessions, and look for those of others. Not
	// behind a transaction pooler, where sessions are everybody's.
	LeaveBehind bool
	// Strict says that the plugin has WithRoles, under which tenants make no tables:
	// they have those of Models already, and keep them, without rows. Nothing is left
	// behind then, and no text holds several statements, which would be refused; but
	// tenants name each other's schemas (tenant.SchemaFor) and must read nothing there.
	Strict bool
}

// Report is what Prove saw.
type Report struct {
	Operations int64
	Foreign    int64            // rows of another tenant that were seen or written
	Tenantless int64            // statements that ran without a tenant
	Trespasses int64            // statements that ran inside another tenant's transaction
	ByKind     map[string]int64 // operations by kind
	Errors     map[string]int64 // operations that ended in an error, by kind; expected where disturbed
	Took       time.Duration
}

// String returns the report, a line per kind.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d operations in %s: %d foreign rows, %d statements without a tenant, %d in another tenant's transaction\n",
		r.Operations, r.Took.Round(time.Millisecond), r.Foreign, r.Tenantless, r.Trespasses)
	for _, kind := range kinds {
		fmt.Fprintf(&b, "  %-22s %9d  errors %d\n", kind.name, r.ByKind[kind.name], r.Errors[kind.name])
	}
	return b.String()
}

// Prove runs randomised operations on db, which has the plugin, and fails t if
// one tenant met another, or if a kind of operation never succeeded, which would
// prove nothing. Operations may fail one by one: see Report.Errors. It creates the tables
// tenanttest_canaries and tenanttest_items in each tenant's schema and drops
// them at the end.
func Prove(t testing.TB, db *gorm.DB, cfg ProveConfig) Report {
	t.Helper()
	if len(cfg.Tenants) < 2 {
		t.Fatal("tenanttest: a proof of isolation needs at least two tenants")
	}
	if cfg.Operations <= 0 {
		cfg.Operations = 10_000
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 16
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	ctx := t.Context()
	prepare := mark
	if cfg.Strict {
		prepare = fill
	}
	if err := prepare(ctx, db, cfg.Tenants); err != nil {
		t.Fatalf("mark the tenants: %v", err)
	}
	p := &proof{t: t, db: db, cfg: cfg, counts: make([]count, len(kinds))}
	start := time.Now()
	p.run(ctx)
	took := time.Since(start)
	foreign, err := audit(ctx, db, cfg.Tenants)
	if err != nil {
		t.Fatalf("audit the tenants: %v", err)
	}
	p.foreign.Add(foreign)
	clear := sweep
	if cfg.Strict {
		clear = empty
	}
	if err := clear(ctx, db, cfg.Tenants); err != nil {
		t.Errorf("drop the canaries: %v", err)
	}
	r := p.report(took)
	t.Logf("seed %d: %s", cfg.Seed, r)
	if r.Foreign != 0 || r.Tenantless != 0 || r.Trespasses != 0 {
		t.Errorf("isolation is broken (seed %d): %d foreign rows, %d statements without a tenant, %d in another tenant's transaction",
			cfg.Seed, r.Foreign, r.Tenantless, r.Trespasses)
	}
	for _, kind := range r.vain() {
		t.Errorf("all %d operations of the kind %q failed, so that they proved nothing", r.ByKind[kind], kind)
	}
	return r
}

// vain returns the kinds that never succeeded, but for the one that is to fail.
// A handful may have been disturbed.
func (r Report) vain() (names []string) {
	for _, kind := range kinds {
		n := r.ByKind[kind.name]
		if kind.name != panics && n >= enough && r.Errors[kind.name] == n {
			names = append(names, kind.name)
		}
	}
	return names
}

// enough operations of a kind tell whether it works at all.
const enough = 10

type count struct{ ran, failed atomic.Int64 }

// proof is a Prove under way.
type proof struct {
	t   testing.TB
	db  *gorm.DB
	cfg ProveConfig

	left                            atomic.Int64
	foreign, tenantless, trespasses atomic.Int64
	counts                          []count
	told                            sync.Map // kinds whose leak was logged already
}

func (p *proof) run(ctx context.Context) {
	p.left.Store(int64(p.cfg.Operations))
	calm, stop := context.WithCancel(ctx)
	var disturb, workers sync.WaitGroup
	if p.cfg.Disturb != nil {
		disturb.Go(func() {
			for calm.Err() == nil {
				p.cfg.Disturb(calm)
			}
		})
	}
	for i := range p.cfg.Workers {
		workers.Go(func() { p.work(ctx, rand.New(rand.NewPCG(p.cfg.Seed, uint64(i)))) })
	}
	workers.Wait()
	stop()
	disturb.Wait()
}

func (p *proof) work(ctx context.Context, rnd *rand.Rand) {
	for p.left.Add(-1) >= 0 {
		at := pickKind(rnd)
		for !p.cfg.does(kinds[at].name) {
			at = pickKind(rnd)
		}
		id := p.cfg.Tenants[rnd.IntN(len(p.cfg.Tenants))]
		o := &op{p: p, rnd: rnd, id: id, kind: kinds[at].name}
		o.ctx = tenant.NewContext(ctx, id)
		o.db = p.db.WithContext(o.ctx)
		p.counts[at].ran.Add(1)
		if err := o.safely(kinds[at].run); err != nil {
			p.counts[at].failed.Add(1)
		}
	}
}

// does reports whether operations of a kind are wanted.
func (c *ProveConfig) does(kind string) bool {
	switch kind {
	case leaves:
		return c.LeaveBehind && !c.Strict
	case several:
		return !c.Strict
	case names:
		return c.Strict
	}
	return true
}

func (p *proof) report(took time.Duration) Report {
	r := Report{
		Foreign: p.foreign.Load(), Tenantless: p.tenantless.Load(), Trespasses: p.trespasses.Load(),
		ByKind: map[string]int64{}, Errors: map[string]int64{}, Took: took,
	}
	for i := range p.counts {
		ran := p.counts[i].ran.Load()
		r.Operations += ran
		r.ByKind[kinds[i].name] = ran
		r.Errors[kinds[i].name] = p.counts[i].failed.Load()
	}
	return r
}

// other returns a tenant that is not id.
func (o *op) other() tenant.ID {
	ids := o.p.cfg.Tenants
	i := slices.Index(ids, o.id)
	return ids[(i+1+o.rnd.IntN(len(ids)-1))%len(ids)]
}

package quota

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// account is what is remembered of a tenant.
type account struct {
	id        tenant.ID
	hash      uint64
	next      atomic.Pointer[account] // see chain
	effective atomic.Pointer[Effective]
	used      atomic.Uint32 // the last epoch in which it was
	counters  *[limits]counters

	statements, requests meter
	gate                 gate
	debt                 debt

	// mu is held while a new policy is put in force. The gate's, and the
	// meters', may be taken within.
	mu sync.Mutex
}

// settle puts what p says of t in force.
func (a *account) settle(p *policy, t *tenant.Tenant, share int) *Effective {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	e := p.effective(t, now)
	a.statements.set(e.StatementsPerSecond, e.StatementBurst, share, now)
	a.requests.set(e.RequestsPerSecond, e.RequestBurst, share, now)
	a.gate.set(e.Concurrency)
	a.debt.set(e.DatabaseShare, now)
	a.effective.Store(e)
	return e
}

// idle shuts an account if nothing is lost with it.
func (a *account) idle(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.statements.full(now) && a.requests.full(now) && a.debt.full(now) && a.gate.close()
}

// accounts finds a tenant's account without a lock.
type accounts struct {
	seed  maphash.Seed
	table atomic.Pointer[[]chain]
	epoch atomic.Uint32 // counts sweeps
	count atomic.Int64
	// counters of the tenants, in stripes, so that not all processors write to
	// the same ones.
	counters [stripes][limits]counters
	// mu is held by who adds, drops or grows. Who reads meanwhile may miss an
	// account, never find a wrong one: add looks again.
	mu sync.Mutex
}

// chain holds the accounts of which the hash leads to the same place, linked by
// their next.
type chain struct{ first atomic.Pointer[account] }

const (
	stripes    = 64
	firstTable = 256
)

func (as *accounts) init() {
	as.seed = maphash.MakeSeed()
	table := make([]chain, firstTable)
	as.table.Store(&table)
}

func (as *accounts) get(id tenant.ID) *account {
	hash := maphash.String(as.seed, string(id))
	if a := as.find(hash, id); a != nil {
		return a
	}
	return as.add(hash, id)
}

func (as *accounts) find(hash uint64, id tenant.ID) *account {
	table := *as.table.Load()
	a := table[hash&uint64(len(table)-1)].first.Load()
	for a != nil && a.id != id {
		a = a.next.Load()
	}
	return a
}

func (as *accounts) add(hash uint64, id tenant.ID) *account {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.find(hash, id); a != nil {
		return a
	}
	table := *as.table.Load()
	if int(as.count.Load()) >= len(table) {
		table = as.grow(table)
	}
	a := &account{id: id, hash: hash, counters: &as.counters[hash>>32%stripes]}
	a.used.Store(as.epoch.Load())
	link(table, a)
	as.count.Add(1)
	return a
}

// link puts a at the head of its chain.
func link(table []chain, a *account) {
	c := &table[a.hash&uint64(len(table)-1)]
	a.next.Store(c.first.Load())
	c.first.Store(a)
}

// grow doubles the table.
func (as *accounts) grow(old []chain) []chain {
	table := make([]chain, 2*len(old))
	for i := range old {
		for a := old[i].first.Load(); a != nil; {
			next := a.next.Load()
			link(table, a)
			a = next
		}
	}
	as.table.Store(&table)
	return table
}

// drop forgets the tenants that were not used since an epoch.
func (as *accounts) drop(since uint32, now time.Time) (dropped int) {
	as.mu.Lock()
	defer as.mu.Unlock()
	for i, table := 0, *as.table.Load(); i < len(table); i++ {
		at := &table[i].first
		for a := at.Load(); a != nil; a = at.Load() {
			if a.used.Load() < since && a.idle(now) {
				at.Store(a.next.Load())
				dropped++
			} else {
				at = &a.next
			}
		}
	}
	as.count.Add(int64(-dropped))
	return dropped
}

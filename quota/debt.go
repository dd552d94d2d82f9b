package quota

import (
	"sync"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// creditFor is how long an idle tenant saves database time up.
const creditFor = 5 * time.Second

// debt holds a tenant to a share of the time. What a statement takes is known when it
// has ended, so it is paid for afterwards: who is in debt waits until it is paid.
type debt struct {
	mu      sync.Mutex // guards what follows; nothing waits while it is held
	share   float64    // seconds per second; 0: no limit
	balance float64    // seconds; negative is debt
	at      time.Time  // of the balance
}

// set puts a share in force. What is owed stays owed.
func (d *debt) set(share float64, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if fresh := d.share == 0; fresh {
		d.balance, d.at = share*creditFor.Seconds(), now
	}
	d.settle(now)
	d.share = share
	d.balance = min(d.balance, d.credit())
}

func (d *debt) credit() float64 { return d.share * creditFor.Seconds() }

// settle brings the balance up to now.
func (d *debt) settle(now time.Time) {
	if passed := now.Sub(d.at); passed > 0 {
		d.balance = min(d.balance+passed.Seconds()*d.share, d.credit())
		d.at = now
	}
}

// wait returns how long there is still debt.
func (d *debt) wait(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.share == 0 {
		return 0
	}
	if d.settle(now); d.balance >= 0 {
		return 0
	}
	return max(seconds(-d.balance/d.share), time.Millisecond)
}

func (d *debt) spend(took time.Duration, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.share > 0 {
		d.settle(now)
		d.balance -= took.Seconds()
	}
}

// full reports whether nothing is lost with it.
func (d *debt) full(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(now)
	return d.balance >= d.credit()
}

// Spend notes that statements of t have taken database time, which DatabaseShare is of.
func (g *Governor) Spend(t *tenant.Tenant, took time.Duration) {
	if a, e := g.find(t); e != nil && e.DatabaseShare > 0 {
		a.debt.spend(took, time.Now())
	}
}

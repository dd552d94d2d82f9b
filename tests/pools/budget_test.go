package pools

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Many callers of many tenants on two shards are all served, and the server never sees
// more connections than the budget, not even those that it is still ending.
func TestBudgetHolds(t *testing.T) {
	f := newFleet(t, *tenants, 2)
	// Few tenants to a connection: replacing them must not go over the budget either.
	db, p := f.open(t, tenantplugin.WithConnBudget(*budget, 0), tenantplugin.WithPoolLimits(0, 0, max(*tenants/4, 1)))
	start := time.Now()
	done := make(chan struct{})
	go func() { callers(t, db); close(done) }()
	most, looks := 0, 0
	for watching := true; watching; looks++ {
		select {
		case <-done:
			watching = false
		default:
		}
		most = max(most, len(f.backends(t)))
	}
	t.Logf("%d callers, %d tenants on 2 shards, %d statements in %s: at most %d connections in %d looks, of %d allowed",
		*goroutines, *tenants, *goroutines**statements, time.Since(start).Round(time.Millisecond), most, looks, *budget)
	if most > *budget || most < *budget/2 {
		t.Errorf("the server saw %d connections, the budget is %d", most, *budget)
	}
	var waits int64
	for _, s := range p.Stats() {
		waits += s.Waits
		t.Logf("%s: opened %d, gave way %d, replaced for their tenants %d, waits %d, %s each",
			s.Shard, s.Opened, s.RetiredBudget, s.RetiredTenants, s.Waits, (s.WaitTime / time.Duration(max(s.Waits, 1))).Round(time.Microsecond))
		if s.BudgetTotal != *budget || s.BudgetUsed > *budget || s.Failed > 0 {
			t.Errorf("%+v", s)
		}
	}
	if waits == 0 {
		t.Error("nobody waited: the budget was not used up")
	}
}

// callers has goroutines read and write as tenants at random. None may fail.
func callers(t *testing.T, db *gorm.DB) {
	var work sync.WaitGroup
	defer work.Wait()
	for range *goroutines {
		work.Go(func() {
			for range *statements {
				tx := db.WithContext(tenant.NewContext(t.Context(), id(rand.IntN(*tenants))))
				var items []Item
				err := tx.Limit(3).Find(&items).Error
				if err == nil && rand.IntN(4) == 0 {
					err = tx.Create(&Item{Name: "x"}).Error
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
}

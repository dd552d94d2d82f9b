package quota

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// A tenant that took more than its share waits until that is made up for, and saves no
// more than some seconds' worth up.
func TestDebt(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var d debt
	d.spend(time.Hour, now) // no limit, no debt
	d.set(0.1, now)
	if w := d.wait(now); w != 0 || !d.full(now) {
		t.Fatalf("it begins with %v to wait", w)
	}
	d.spend(500*time.Millisecond, now) // all of the credit
	if w := d.wait(now); w != 0 {
		t.Errorf("%v to wait without debt", w)
	}
	d.spend(200*time.Millisecond, now)
	if w := d.wait(now); w < 1999*time.Millisecond || w > 2001*time.Millisecond {
		t.Errorf("%v to wait, want 2s", w)
	}
	d.set(0.2, now) // more is paid back sooner, and nothing is forgiven
	if w := d.wait(now); w < 999*time.Millisecond || w > 1001*time.Millisecond {
		t.Errorf("%v to wait at twice the share, want 1s", w)
	}
	if w := d.wait(now.Add(1100 * time.Millisecond)); w != 0 || d.full(now.Add(1100*time.Millisecond)) {
		t.Errorf("%v to wait after that, or all is saved up already", w)
	}
	later := now.Add(time.Hour)
	if !d.full(later) {
		t.Error("after an hour it has saved nothing up")
	}
	d.spend(1100*time.Millisecond, later)
	if d.wait(later) == 0 {
		t.Error("it has saved up more than 5 s worth")
	}
}

func TestDatabaseShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := start(t, all(Limits{DatabaseShare: 0.01}))
		if err := g.Statement(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		g.Spend(acme, 1050*time.Millisecond) // 50 ms are saved up
		if err := limited(t, g.Statement(t.Context(), acme), LimitDatabase); err.RetryAfter != 100*time.Second || err.Value != 0.01 {
			t.Errorf("%+v", err)
		}
		if err := g.Statement(t.Context(), &tenant.Tenant{ID: "globex"}); err != nil {
			t.Errorf("another tenant: %v", err)
		}
		pass(100 * time.Second)
		if err := g.Statement(t.Context(), acme); err != nil {
			t.Errorf("after the time to wait: %v", err)
		}
		if st := g.Stats().Database; st.Allowed != 3 || st.Refused != 1 {
			t.Errorf("%+v", st)
		}
	})
}

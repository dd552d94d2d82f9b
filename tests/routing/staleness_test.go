package routing

import (
	"testing"
	"time"
)

// A replica's staleness grows while it stands still, and is small again behind that.
func TestStaleness(t *testing.T) {
	ctx := newTenant(t)
	settled(t, ctx)
	staleness := func() time.Duration {
		all := lab.plugin.Replicas()
		if len(all) != 1 || all[0].Shard != "s1" || all[0].Node != "replica-0" || all[0].Down {
			t.Fatalf("%+v", all)
		}
		return all[0].Staleness
	}
	if d := staleness(); d < 0 || d > 5*time.Second {
		t.Errorf("at rest: %v", d)
	}
	resume := heldBack(t)
	must(t, exec("insert into items (name) values ('mine')")(lab.db.WithContext(ctx)))
	began := time.Now()
	eventually(t, "the replica to be stale", func() bool { return staleness() > 300*time.Millisecond })
	if d := staleness(); d > time.Since(began)+5*time.Second {
		t.Errorf("stale for %v after %v", d, time.Since(began))
	}
	resume()
	settled(t, ctx)
	eventually(t, "the replica to be fresh", func() bool { d := staleness(); return d >= 0 && d < 300*time.Millisecond })
}

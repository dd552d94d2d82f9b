package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// TestQuarantineOfManyProcesses: 50 processes at once put no more of each shard's tenants
// into it than may be.
func TestQuarantineOfManyProcesses(t *testing.T) {
	t.Parallel()
	const n = 50
	dsn := newDatabase(t)
	regs := make([]*Registry, n)
	for i := range regs {
		regs[i] = open(t, Config{DSN: dsn, HomeShard: "default", MaxConns: 1})
	}
	register(t, dsn, 3000) // 150 on each of 20 shards, all of them active on s2 and s3: 2% are 3
	var wg sync.WaitGroup
	var mu sync.Mutex
	in, full := map[string]int{}, 0
	for i, r := range regs {
		wg.Go(func() {
			for j := range 4 { // on s2 and s3 in turn
				q, err := r.Quarantine(t.Context(), tenant.ID(fmt.Sprintf("t%09d", 20*(2*i+j/2)+21+j%2)), QuarantineSpec{})
				mu.Lock()
				switch {
				case err == nil:
					in[q.Shard]++
				case errors.Is(err, ErrQuarantineFull):
					full++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if in["s2"] != 3 || in["s3"] != 3 || full != 4*n-6 {
		t.Errorf("%v are in, %d found it full", in, full)
	}
}

// TestGovernanceDown: the migration can be taken back, events included, and made again.
func TestGovernanceDown(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := open(t, Config{DSN: dsn, HomeShard: "default", DeleteEvery: -1, MeasureEvery: -1})
	create(t, r, "acme")
	if err := r.SetLimits(t.Context(), "acme", nil); err != nil {
		t.Fatal(err)
	}
	must(r.Quarantine(t.Context(), "acme", QuarantineSpec{}))(t)
	text, err := fs.ReadFile(migrations.Control(), "00006_governance.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, down, found := strings.Cut(string(text), "-- +goose Down")
	if !found {
		t.Fatal("it has no Down")
	}
	run(t, dsn, "SET search_path = tenancy; "+down+"; DELETE FROM migrations WHERE version_id = 6")
	must(r.Rename(t.Context(), "acme", "acme2"))(t)
	if err := r.Delete(t.Context(), "acme2"); err != nil {
		t.Errorf("a tenant of the version before: %v", err)
	}
	again := open(t, Config{DSN: dsn})
	create(t, again, "acme")
	must(again.Quarantine(t.Context(), "acme", QuarantineSpec{}))(t)
}

package routing

import (
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"
	"gorm.io/plugin/dbresolver"
)

// A replica that stops, in the middle of reads, is nobody's error, unless the
// result was on its way already; the reads move to the primary, and back when
// it runs again.
func TestReplicaStopsAndStarts(t *testing.T) {
	ctx := newTenant(t)
	db := lab.db.WithContext(ctx)
	must(t, db.Create(&Item{Name: "there"}).Error)
	settled(t, ctx)

	var done atomic.Bool
	var reads atomic.Int64
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for broken := 0; !done.Load(); {
				err := db.First(&Item{}, "name = ?", "there").Error
				if isCode(err, "57P01") && broken == 0 {
					broken++ // after the row: it cannot be asked for again
				} else if err != nil {
					t.Errorf("a read while the replica stops: %v", err)
					return
				}
				reads.Add(1)
			}
		})
	}
	defer readers.Wait()
	defer done.Store(true)
	enough := func(more int64) {
		want := reads.Load() + more
		eventually(t, "reads", func() bool { return t.Failed() || reads.Load() >= want })
	}
	enough(50)
	replica().Stop()
	stopped := true
	defer func() {
		if stopped {
			must(t, replica().Start(ctx))
		}
	}()
	enough(50)
	for range 20 {
		if at := routeOf(t, ctx, count); at.Replica {
			t.Fatalf("a read ran on %+v, which is stopped", at)
		}
		if at := routeOf(t, ctx, with(dbresolver.Read, count)); at.Replica {
			t.Fatalf("a read ran on %+v, which is stopped", at)
		}
	}
	must(t, replica().Start(ctx))
	stopped = false
	settled(t, ctx)
	enough(50)
}

// A read only transaction that was to begin on a replica which has just
// stopped may fail, as its first statement finds out; not for long.
func TestReadOnlyTransactionsOutliveTheReplica(t *testing.T) {
	ctx := newTenant(t)
	settled(t, ctx)
	begin := func(db *gorm.DB) error {
		return db.Clauses(dbresolver.Read).Transaction(count, readOnly)
	}
	if at := routeOf(t, ctx, begin); !at.Replica {
		t.Fatalf("ran on %+v", at)
	}
	replica().Stop()
	defer func() { must(t, replica().Start(ctx)) }()
	eventually(t, "a transaction on the primary", func() bool { return begin(lab.db.WithContext(ctx)) == nil })
	if at := routeOf(t, ctx, begin); at.Replica {
		t.Fatalf("ran on %+v", at)
	}
}

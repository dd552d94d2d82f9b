package metrics

import (
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// at sets the clock of a Collector that was not started.
func (c *Collector) at(after time.Duration) { c.clock.Store(int64(after) + 1) }

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*want }

func TestSnapshot(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	const seconds = 300
	for i := range seconds {
		c.at(time.Duration(i) * time.Second)
		for range 10 {
			c.Observe(&Statement{Tenant: "acme", Shard: "eu-1", Duration: 20 * time.Millisecond, Rows: 5, RoundTrips: 2, Text: "SELECT 1"})
		}
		c.Observe(&Statement{
			Tenant: "acme", Shard: "eu-1", Kind: KindWrite, Class: ClassConstraint, Duration: 100 * time.Millisecond, Wait: 50 * time.Millisecond,
			RoundTrips: 1, Replica: true, Text: "UPDATE t SET a = 'x'",
		})
		c.Observe(&Statement{Tenant: "other", Shard: "eu-1", Duration: 600 * time.Millisecond})
		c.Committed("other", "eu-1", 300*time.Millisecond)
	}
	c.at(seconds * time.Second)
	s, ok := c.Tenant("acme")
	if !ok || s.Tenant != "acme" || s.Shard != "eu-1" {
		t.Fatalf("%v, %+v", ok, s)
	}
	for name, v := range map[string][2]float64{
		"statements": {s.StatementsPerSecond, 11}, "errors": {s.ErrorsPerSecond, 1}, "rows": {s.RowsPerSecond, 50},
		"time": {s.TimePerSecond, 0.3}, "wait": {s.WaitPerSecond, 0.05}, "ratio": {s.ErrorRatio, 1. / 11}, "share": {s.TimeShare, 0.25},
		"latency": {s.Latency.Seconds(), 0.3 / 11}, "p50": {s.P50.Seconds(), 0.02}, "p95": {s.P95.Seconds(), 0.1}, "p99": {s.P99.Seconds(), 0.1},
		"max": {s.Max.Seconds(), 0.1}, "replica": {s.ReplicaShare, 1. / 11}, "trips": {s.RoundTripsPerStatement, 21. / 11},
	} {
		if !near(v[0], v[1], 0.05) {
			t.Errorf("%s: %v, want %v", name, v[0], v[1])
		}
	}
	u := s.Usage
	if u.Count() != 11*seconds || u.Failed() != seconds || u.Errors[ClassConstraint] != seconds || u.Statements[KindWrite] != seconds ||
		u.Rows != 50*seconds || u.RoundTrips != 21*seconds || u.Waits != seconds || u.Replica != seconds || u.Time != seconds*300*time.Millisecond ||
		u.Wait != seconds*50*time.Millisecond || u.Commits != 0 {
		t.Errorf("usage %+v", u)
	}
	if want := seconds * (10*math.Log(0.02) + math.Log(0.1)); !near(-u.LogTime, -want, 0.001) {
		t.Errorf("sum of logarithms %v, want %v", u.LogTime, want)
	}
	if len(s.Queries) != 2 || s.Queries[0].Text != "select ?" || s.Queries[1].Text != "update t set a = ?" || u.Query != s.Queries[0] {
		t.Errorf("queries %+v", s.Queries)
	}
	if !s.LastSeen.Equal(c.wall((seconds-1)*int64(time.Second) + 1)) {
		t.Errorf("last seen %v", s.LastSeen)
	}
	if o, _ := c.Tenant("other"); o.Usage.Commits != seconds || o.Usage.DatabaseTime() != seconds*900*time.Millisecond || !near(o.TimeShare, 0.75, 0.05) {
		t.Errorf("other %+v", o)
	}
	c.at((seconds + 240) * time.Second)
	if later, _ := c.Tenant("acme"); !near(later.TimeShare, s.TimeShare, 0.01) || later.TimePerSecond > s.TimePerSecond/10 {
		t.Errorf("four minutes later the share is %v of %v s", later.TimeShare, later.TimePerSecond)
	}
	if _, ok := c.Tenant("nobody"); ok {
		t.Error("there is a snapshot of nobody")
	}
}

// Rates are right from the first minute on, and fade.
func TestRates(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	start := 77 * time.Second
	for i := range 2400 {
		c.at(start + time.Duration(i)*100*time.Millisecond)
		c.Observe(&Statement{Tenant: "acme", Duration: time.Millisecond})
		if s, _ := c.Tenant("acme"); i > 50 && !near(s.StatementsPerSecond, 10, 0.05) {
			t.Fatalf("%v statements per second after %d", s.StatementsPerSecond, i)
		}
	}
	c.at(start + 240*time.Second + 5*time.Minute)
	if s, _ := c.Tenant("acme"); s.StatementsPerSecond > 0.5 || s.StatementsPerSecond < 0.1 || s.Usage.Count() != 2400 {
		t.Errorf("%v statements per second five minutes later", s.StatementsPerSecond)
	}
}

func TestTop(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	c.at(0)
	for i := range 200 {
		id := tenant.ID(fmt.Sprintf("t%03d", i))
		for range i + 1 {
			c.Observe(&Statement{Tenant: id, Duration: time.Duration(201-i) * time.Second})
		}
	}
	c.Observe(&Statement{Tenant: "t050", Class: ClassOther, Wait: time.Hour, Rows: 1})
	c.Observe(&Statement{Tenant: "t060", Class: ClassOther})
	c.Observe(&Statement{Tenant: "t060", Class: ClassOther, Rows: 3, Wait: time.Second})
	c.at(time.Minute)
	c.Observe(&Statement{Tenant: "late", Duration: 60 * time.Second})
	for by, want := range map[By]string{
		ByTime: "t100", ByStatements: "t199 t198 t197", ByErrors: "t060 t050", ByRows: "t060 t050", ByWait: "t050 t060", ByLatency: "t000 t001 t002",
	} {
		var got []string
		for _, s := range c.Top(3, by) {
			got = append(got, string(s.Tenant))
		}
		if line := strings.Join(got[:strings.Count(want, " ")+1], " "); line != want {
			t.Errorf("by %d: %s, want %s", by, line, want)
		}
	}
	if got := c.Top(0, ByTime); len(got) != 0 {
		t.Errorf("a top of none has %d", len(got))
	}
}

// A tenant with more queries than slots: the heavy ones stay, light ones come and go.
func TestHeavyQueriesStay(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	c.at(0)
	for i := range 5000 {
		c.Observe(&Statement{Tenant: "acme", Duration: time.Millisecond, Text: fmt.Sprintf("SELECT c%d FROM light", i%100)})
		c.Observe(&Statement{Tenant: "acme", Duration: 50 * time.Millisecond, Text: "SELECT heavy"})
		c.Observe(&Statement{Tenant: "acme", Duration: 20 * time.Millisecond, Text: "SELECT lighter"})
	}
	s, _ := c.Tenant("acme")
	if s.Queries[0].Text != "select heavy" || s.Queries[1].Text != "select lighter" || s.Queries[0].Count != 5000 || !near(s.Queries[0].Time.Seconds(), 250, 0.01) {
		t.Errorf("queries %+v", s.Queries)
	}
	c.at(10 * time.Minute)
	for range 10 {
		c.Observe(&Statement{Tenant: "acme", Duration: time.Second, Text: "SELECT new"})
	}
	if s, _ = c.Tenant("acme"); s.Queries[0].Text != "select new" {
		t.Errorf("what was heavy ten minutes ago is first: %+v", s.Queries)
	}
}

func TestIdleTenantsGoAndSumsStay(t *testing.T) {
	t.Parallel()
	c := New(Config{IdleAfter: time.Minute, Named: []tenant.ID{"named"}})
	c.at(0)
	if !c.Flag("flagged") {
		t.Error("the first flag is refused")
	}
	for _, id := range []tenant.ID{"idle", "busy", "named", "flagged"} {
		c.Observe(&Statement{Tenant: id, Duration: time.Second, Rows: 7})
	}
	first, _ := c.Tenant("idle")
	c.at(2 * time.Minute)
	c.Observe(&Statement{Tenant: "busy"})
	if n := c.Sweep(c.base.Add(2 * time.Minute)); n != 1 {
		t.Errorf("%d evicted, want 1", n)
	}
	if _, ok := c.Tenant("idle"); ok {
		t.Error("the idle tenant is there")
	}
	c.Observe(&Statement{Tenant: "idle", Duration: time.Second})
	again, _ := c.Tenant("idle")
	if again.Usage.Count() != 1 || again.Usage.Since.Equal(first.Usage.Since) {
		t.Errorf("an evicted tenant came back with %+v", again.Usage)
	}
	if u := c.Totals(); u.Count() != 6 || u.Rows != 28 || u.Time != 5*time.Second {
		t.Errorf("totals %+v", u)
	}
	seen := map[tenant.ID]uint64{}
	c.Each(func(id tenant.ID, _ string, u Usage) { seen[id] = u.Count() })
	if len(seen) != 4 || seen["busy"] != 2 || seen["idle"] != 1 {
		t.Errorf("each: %v", seen)
	}
	c.Unflag("flagged")
	if n := c.Sweep(c.base.Add(10 * time.Minute)); n != 3 {
		t.Errorf("%d evicted, want all but the named one", n)
	}
}

// A tenant that is observed while it is evicted loses nothing.
func TestEvictionLosesNothing(t *testing.T) {
	t.Parallel()
	c := New(Config{IdleAfter: time.Nanosecond})
	const goroutines, each = 4, 20_000
	done := make(chan struct{})
	var wg, sweeper sync.WaitGroup
	var evicted, counted atomic.Int64
	sweeper.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				evicted.Add(int64(c.Sweep(time.Now())))
			}
		}
	})
	for range goroutines {
		wg.Go(func() {
			for i := 0; i < each || evicted.Load() < 100; i++ {
				c.Observe(&Statement{Tenant: tenant.ID(fmt.Sprintf("t%d", i%3)), Rows: 1})
				counted.Add(1)
			}
		})
	}
	wg.Wait()
	close(done)
	sweeper.Wait()
	want := uint64(counted.Load())
	if u := c.Totals(); u.Count() != want || u.Rows != want {
		t.Errorf("%d statements, %d rows, want %d; %d evicted", u.Count(), u.Rows, want, evicted.Load())
	}
}

// An entry that was found just before it was evicted is looked up again.
func TestEvictedEntriesTakeNothing(t *testing.T) {
	t.Parallel()
	c := New(Config{IdleAfter: time.Minute})
	c.Observe(&Statement{Tenant: "acme"})
	var old *entry
	c.each(func(e *entry) { old = e })
	c.Sweep(c.base.Add(time.Hour))
	st := &c.stripes[maphash.String(c.seed, "acme")%numStripes]
	st.tenants["acme"] = old // what an Observe has found that is late
	found := make(chan struct{})
	go func() {
		c.Observe(&Statement{Tenant: "acme"})
		close(found)
	}()
	select {
	case <-found:
		t.Error("an evicted entry was counted on")
	case <-time.After(50 * time.Millisecond):
	}
	st.mu.Lock()
	delete(st.tenants, "acme")
	st.mu.Unlock()
	<-found
	if u := c.Totals(); u.Count() != 2 {
		t.Errorf("%d statements, want 2", u.Count())
	}
}

func TestNoRoom(t *testing.T) {
	t.Parallel()
	c := New(Config{MaxTenants: 10, IdleAfter: time.Minute, Named: []tenant.ID{"zz-named"}})
	c.at(0)
	for _, id := range append(ids(100), "zz-named", "Not An ID", "_other", "") {
		c.Observe(&Statement{Tenant: id, Shard: "eu-1"})
	}
	tracked := 0
	c.Each(func(tenant.ID, string, Usage) { tracked++ })
	if tracked != 11 || c.tracked.Load() != 11 {
		t.Errorf("%d tracked (%d), want 10 and the named one", tracked, c.tracked.Load())
	}
	if u := c.Totals(); u.Count() != 104 {
		t.Errorf("%d statements, want 104", u.Count())
	}
	for _, id := range []tenant.ID{"Not An ID", "_other"} {
		if _, ok := c.Tenant(id); ok {
			t.Errorf("%s is tracked", id)
		}
	}
	if s, ok := c.Tenant(""); !ok || s.Usage.Count() != 1 {
		t.Errorf("shared tables: %v, %+v", ok, s.Usage)
	}
	c.Sweep(c.base.Add(time.Hour))
	c.Observe(&Statement{Tenant: "late"})
	if _, ok := c.Tenant("late"); !ok {
		t.Error("there is no room after a sweep")
	}
}

func TestShards(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	c.Observe(&Statement{Tenant: "acme", Shard: "eu-1"})
	c.Record("acme", KindWrite, time.Second, 3)
	if s, _ := c.Tenant("acme"); s.Shard != "eu-1" || s.Usage.Statements[KindWrite] != 1 || s.Usage.Rows != 3 {
		t.Errorf("%+v", s)
	}
	c.Observe(&Statement{Tenant: "acme", Shard: "eu-2"})
	if s, _ := c.Tenant("acme"); s.Shard != "eu-2" {
		t.Errorf("after a move: %s", s.Shard)
	}
	for i := range 2 * maxShards {
		c.Observe(&Statement{Tenant: "acme", Shard: fmt.Sprintf("s%d\xff", i)})
	}
	if n := len(*c.shards.Load()); n != maxShards {
		t.Errorf("%d shards", n)
	}
	if s, _ := c.Tenant("acme"); s.Shard != others {
		t.Errorf("one shard too many: %s", s.Shard)
	}
}

// IDs and names of shards may be pieces of a buffer that is used again.
func TestNothingAliases(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	buffer := []byte("acmeeu-1")
	s := unsafe.String(&buffer[0], len(buffer))
	c.Observe(&Statement{Tenant: tenant.ID(s[:4]), Shard: s[4:]})
	copy(buffer, "xxxxxxxx")
	if got, ok := c.Tenant("acme"); !ok || got.Tenant != "acme" || got.Shard != "eu-1" {
		t.Errorf("%v, %+v", ok, got)
	}
}

func TestOddStatements(t *testing.T) {
	t.Parallel()
	c := New(Config{HalfLife: time.Nanosecond, Top: -1})
	c.Observe(&Statement{Tenant: "acme", Kind: 200, Class: 200, Duration: -time.Hour, Wait: -1, Rows: -5, RoundTrips: -1})
	c.Observe(&Statement{Tenant: "acme", Duration: math.MaxInt64 / 2})
	c.Committed("acme", "", -time.Hour)
	s, _ := c.Tenant("acme")
	u := s.Usage
	if u.Statements[KindOther] != 1 || u.Errors[ClassOther] != 1 || u.Time != math.MaxInt64/2 || u.CommitTime != 0 || u.Rows != 0 || u.RoundTrips != 0 || u.Waits != 0 {
		t.Errorf("%+v", u)
	}
	if c.Flag("acme") {
		t.Error("a flag without room")
	}
}

func TestStartKeepsAClockAndSweeps(t *testing.T) {
	t.Parallel()
	c := New(Config{IdleAfter: time.Millisecond})
	c.Observe(&Statement{Tenant: "acme"})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for c.Totals(); ; time.Sleep(10 * time.Millisecond) {
		if _, ok := c.Tenant("acme"); !ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("an idle tenant stays")
		}
	}
	if c.clock.Load() == 0 {
		t.Error("nobody keeps the clock")
	}
	if err := c.Start(t.Context()); err == nil {
		t.Error("a second Start works")
	}
	c.Stop()
	c.Stop()
	if c.clock.Load() != 0 {
		t.Error("the clock stands still after Stop")
	}
}

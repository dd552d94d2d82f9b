package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// meter counts what tenants use, as a process does.
type meter struct {
	mu   sync.Mutex
	rows map[tenant.ID]UsageRow
}

func newMeter() *meter { return &meter{rows: map[tenant.ID]UsageRow{}} }

// use counts n reads and a commit, which take a time that is no whole microsecond.
func (m *meter) use(id tenant.ID, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.rows[id]
	u.Tenant, u.Shard = id, "a"
	u.Reads += n
	u.Commits++
	u.Time += 1500 * time.Nanosecond
	m.rows[id] = u
}

func (m *meter) source(yield func(time.Time, UsageRow)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.rows {
		yield(noon, u)
	}
}

// total returns what the control plane has.
func total(t testing.TB, r *Registry, hours bool) UsageRow {
	t.Helper()
	all := must(r.Usage(t.Context(), UsageFilter{Hours: hours, By: ByShard}))(t)
	if len(all) == 0 {
		return UsageRow{}
	}
	return all[0]
}

// proxyTo returns a proxy to the server of dsn.
func proxyTo(t testing.TB, dsn string) *proxy {
	t.Helper()
	p := newProxy(t)
	p.cut()
	p.target = address(t, dsn)
	p.restore(t)
	return p
}

func newRollup(t testing.TB, r *Registry, cfg RollupConfig) *Rollup {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = r.log
	}
	u := must(NewRollup(r, cfg))(t)
	u.asked = noon
	return u
}

// TestRollupIsExact: after outages and a COMMIT whose answer was lost, the control plane
// has exactly what was counted.
func TestRollupIsExact(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	p := proxyTo(t, dsn)
	direct := open(t, Config{DSN: dsn, HomeShard: "default"})
	r := open(t, Config{DSN: p.dsn(dsn), QueryTimeout: time.Second, DeleteEvery: -1})
	m := newMeter()
	u := newRollup(t, r, RollupConfig{Source: m.source})
	now, used := noon, int64(0)
	round := func() error {
		for i := range 100 {
			m.use(tenant.ID(fmt.Sprint("t", i)), int64(i))
			used += int64(i)
		}
		now = now.Add(time.Minute)
		return u.runOnce(t.Context(), now)
	}
	check := func(what string) {
		t.Helper()
		for _, hours := range []bool{false, true} {
			if got := total(t, direct, hours).Reads; got != used {
				t.Errorf("%s: there are %d reads, %d were counted (hours: %t)", what, got, used, hours)
			}
		}
	}
	for range 3 {
		if err := round(); err != nil {
			t.Fatal(err)
		}
	}
	check("at first")

	p.cut()
	for range 5 {
		if err := round(); !errors.Is(err, tenant.ErrUnavailable) {
			t.Fatalf("without a control plane: %v", err)
		}
	}
	if st := u.Stats(); st.Buffered != 500 || st.Failures != 5 || st.Dropped != 0 || st.Written != 300 {
		t.Errorf("%+v", st)
	}
	p.restore(t)
	eventually(t, "a connection", func() bool { return u.runOnce(t.Context(), now) == nil })
	check("after an outage")

	loseAnswer(t, dsn, p, round)
	check("when its answer was lost, it has arrived")
	p.restore(t)
	eventually(t, "a connection", func() bool { return u.runOnce(t.Context(), now) == nil })
	check("sent again")
	if err := round(); err != nil {
		t.Fatal(err)
	}
	check("in the end")
	if st := u.Stats(); st.Buffered != 0 || st.Dropped != 0 || !st.LastWritten.Equal(now) {
		t.Errorf("%+v", st)
	}
	// 1.5 us each round: the halves are not lost by being cut off each time.
	rounds := total(t, direct, true).Commits / 100
	if got, want := total(t, direct, true).Time, time.Duration(rounds)*1500*time.Nanosecond; got/100 > want || got/100 < want-time.Microsecond {
		t.Errorf("each used %s, counted %s", got/100, want)
	}
}

// loseAnswer cuts the connections while the server has the statement, and waits until it
// has committed all the same.
func loseAnswer(t *testing.T, dsn string, p *proxy, round func() error) {
	t.Helper()
	conn := must((&Registry{cfg: Config{QueryTimeout: time.Minute}}).connect(t.Context(), must(Config{DSN: dsn}.connConfig())(t)))(t)
	defer closeConn(t.Context(), conn)
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE tenancy.usage"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- round() }()
	const waiting = "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	eventually(t, "the statement", func() bool { return query[int](t, dsn, waiting) == 1 })
	p.cut()
	if err := <-ended; !errors.Is(err, tenant.ErrUnavailable) {
		t.Fatalf("the answer was lost, and it says %v", err)
	}
	before := query[int64](t, dsn, "SELECT max(number) FROM tenancy.usage_batches")
	if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the commit", func() bool { return query[int64](t, dsn, "SELECT max(number) FROM tenancy.usage_batches") > before })
}

// TestRollupIsBounded: with nobody to write to, the oldest rows go, and are counted.
func TestRollupIsBounded(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	m := newMeter()
	u := newRollup(t, r, RollupConfig{Source: m.source, MaxBuffered: 25})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	now := noon
	for range 5 {
		for i := range 10 {
			m.use(tenant.ID(fmt.Sprint("t", i)), 1)
		}
		now = now.Add(time.Minute)
		if err := u.runOnce(ctx, now); err == nil {
			t.Fatal("a context that ended wrote")
		}
	}
	if st := u.Stats(); st.Buffered != 20 || st.Dropped != 30 {
		t.Errorf("%+v", st)
	}
	if err := u.runOnce(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	got := must(r.Usage(t.Context(), UsageFilter{From: noon}))(t)
	if len(got) != 20 || got[0].Reads != 1 || !got[0].At.Equal(noon.Add(3*time.Minute)) || !got[19].At.Equal(noon.Add(4*time.Minute)) {
		t.Errorf("%+v", got)
	}
	for i := range 60 {
		m.use(tenant.ID(fmt.Sprint("t", i)), 1)
	}
	if err := u.runOnce(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if st := u.Stats(); st.Buffered != 0 || st.Dropped+st.Written != 110 || st.Dropped < 65 {
		t.Errorf("more at once than may be kept: %+v", st)
	}
}

// TestRollupBeginsAnew: counts of who was forgotten and came back are taken as they are.
func TestRollupBeginsAnew(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	var since time.Time
	var totals []UsageRow
	u := newRollup(t, r, RollupConfig{Source: func(yield func(time.Time, UsageRow)) {
		for _, row := range totals {
			yield(since, row)
		}
	}})
	step := func(from time.Time, rows ...UsageRow) {
		t.Helper()
		since, totals = from, rows
		if err := u.runOnce(t.Context(), noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	acme := func(reads, errors int64) UsageRow {
		return UsageRow{Tenant: "acme", Shard: "a", Reads: reads, Errors: errors}
	}
	step(noon, acme(5, 0))
	step(noon, acme(5, 0))
	step(noon.Add(1), acme(7, 0))
	step(noon)
	step(noon.Add(1), acme(9, 0))
	step(noon.Add(1), acme(8, 1))
	if got := total(t, r, true); got.Reads != 5+7+9+8 || got.Errors != 1 {
		t.Errorf("%+v", got)
	}
}

// TestRollupDropsTheUnwritable: a row that no server takes does not hold up the others.
func TestRollupDropsTheUnwritable(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	m := newMeter()
	u := newRollup(t, r, RollupConfig{Source: m.source})
	m.use("bad\x00", 1)
	if err := u.runOnce(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	m.use("acme", 1)
	if err := u.runOnce(t.Context(), noon); err != nil || total(t, r, true).Reads != 1 {
		t.Errorf("%v, %+v", err, u.Stats())
	}
	if st := u.Stats(); st.Dropped != 1 || st.Written != 1 {
		t.Errorf("%+v", st)
	}
}

// TestRollupStartsAndStops: it writes by itself, and once more when it is stopped; without
// a control plane, stopping does not take long.
func TestRollupStartsAndStops(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	m := newMeter()
	u := must(NewRollup(r, RollupConfig{Source: m.source, Every: time.Millisecond}))(t)
	m.use("acme", 1)
	if err := u.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first row", func() bool { return u.Stats().Written == 1 })
	if u.Start(t.Context()) == nil {
		t.Error("it was started twice")
	}
	u.Stop()
	u.Stop()

	last := must(NewRollup(r, RollupConfig{Source: m.source, Every: time.Hour}))(t)
	if err := last.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.use("acme", 1)
	last.Stop()
	if st := last.Stats(); st.Written != 1 {
		t.Errorf("the last writing: %+v", st)
	}
	if !strings.HasPrefix(last.String(), "rollup ") || strings.Contains(last.String(), password) {
		t.Error(last)
	}
	must(NewRollup(r, RollupConfig{Source: m.source}))(t).Stop()
	for _, cfg := range []RollupConfig{{}, {Source: m.source, Every: -1}, {Source: m.source, MaxBuffered: -1}} {
		if _, err := NewRollup(r, cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

func TestRollupStopsWithoutControlPlane(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	p := proxyTo(t, dsn)
	r := open(t, Config{DSN: p.dsn(dsn), HomeShard: "default"})
	p.cut()
	m := newMeter()
	m.use("acme", 1)
	u := newRollup(t, r, RollupConfig{Source: m.source, Every: time.Hour, StopTimeout: 200 * time.Millisecond})
	if err := u.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	u.Stop()
	if st := u.Stats(); time.Since(begin) > 5*time.Second || st.Buffered != 1 {
		t.Errorf("it took %s: %+v", time.Since(begin), st)
	}
}

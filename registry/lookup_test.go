package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// tracer counts the questions about tenants, and can hold them: at their
// start, or at their end, when the row was read and nothing was made of it.
type tracer struct {
	count       atomic.Int64
	start, done func()
}

type tracedKey struct{}

func (tr *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if !strings.Contains(q.SQL, ".tenants WHERE id = $1") || !strings.HasPrefix(q.SQL, "SELECT") {
		return ctx
	}
	tr.count.Add(1)
	if tr.start != nil {
		tr.start()
	}
	return context.WithValue(ctx, tracedKey{}, true)
}

func (tr *tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if ctx.Value(tracedKey{}) != nil && tr.done != nil {
		tr.done()
	}
}

// traced opens a registry whose questions tr sees.
func traced(t testing.TB, dsn string, tr *tracer, cfg Config) *Registry {
	t.Helper()
	cc, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cc.Tracer = tr
	cfg.ConnConfig = cc
	return open(t, cfg)
}

// listening waits until n registries listen in the database of dsn, so that
// what follows reaches them.
func listening(t testing.TB, dsn string, n int) {
	t.Helper()
	eventually(t, "listen", func() bool { return len(listeners(t, dsn)) == n })
}

// caughtUp waits until r has heard all that was announced so far: news arrive
// in order, so that it announces something and waits for that.
func caughtUp(t testing.TB, r *Registry) {
	t.Helper()
	const id = "caught-up"
	conn := must(r.connect(t.Context(), r.conn))(t)
	defer closeConn(t.Context(), conn)
	if _, err := conn.Exec(t.Context(), "SELECT pg_notify($1, $2)", r.cfg.Schema, migratingKind+":"+id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "news", func() bool { _, heard := r.migrating.Get(id); return heard })
}

func listeners(t testing.TB, dsn string) []int32 {
	t.Helper()
	return query[[]int32](t, dsn, `SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity
		WHERE datname = current_database() AND query = 'LISTEN "tenancy"' AND state = 'idle'`)
}

func state(t testing.TB, r *Registry, id tenant.ID) tenant.State {
	t.Helper()
	return must(r.Lookup(t.Context(), id))(t).State
}

func TestSingleFlight(t *testing.T) {
	t.Parallel()
	const callers = 64
	hold := make(chan struct{})
	tr := &tracer{start: func() { <-hold }}
	r := traced(t, newDatabase(t), tr, Config{NegativeTTL: time.Minute})
	listening(t, r.conn.ConnString(), 1)

	first, give := context.WithCancel(t.Context())
	gave := make(chan error)
	go func() { _, err := r.Lookup(first, "nobody"); gave <- err }()
	eventually(t, "first question", func() bool { return tr.count.Load() == 1 })
	errs := make(chan error, callers)
	for range callers {
		go func() { _, err := r.Lookup(t.Context(), "nobody"); errs <- err }()
	}
	give()
	if err := <-gave; !errors.Is(err, context.Canceled) || errors.Is(err, tenant.ErrUnavailable) {
		t.Errorf("the caller who gave up: %v", err)
	}
	close(hold)
	for range callers {
		if err := <-errs; !errors.Is(err, tenant.ErrUnknown) {
			t.Error(err)
		}
	}
	if n := tr.count.Load(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

func TestOtherProcess(t *testing.T) {
	t.Parallel()
	a := openHome(t)
	b := open(t, Config{DSN: a.cfg.DSN, TTL: time.Hour, NegativeTTL: time.Hour})
	listening(t, a.cfg.DSN, 2)
	if _, err := b.Lookup(t.Context(), "acme"); !errors.Is(err, tenant.ErrUnknown) {
		t.Fatal(err)
	}
	create(t, a, "acme")
	took := eventually(t, "creation", func() bool { got, err := b.Lookup(t.Context(), "acme"); return err == nil && got.State.Serves() })
	t.Logf("a negative entry fell %s after Create", took)
	if err := a.Suspend(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	took = eventually(t, "suspension", func() bool { return state(t, b, "acme") == tenant.StateSuspended })
	t.Logf("Suspend was seen after %s", took)
	if err := a.Delete(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "deletion", func() bool { _, err := b.Lookup(t.Context(), "acme"); return errors.Is(err, tenant.ErrUnknown) })
	create(t, a, "globex")
	eventually(t, "creation", func() bool { got, err := b.Lookup(t.Context(), "globex"); return err == nil && got.State.Serves() })
	run(t, a.cfg.DSN, "TRUNCATE tenancy.tenants CASCADE")
	eventually(t, "truncation", func() bool { _, err := b.Lookup(t.Context(), "globex"); return errors.Is(err, tenant.ErrUnknown) })
}

func TestListenerKilled(t *testing.T) {
	t.Parallel()
	a := openHome(t)
	create(t, a, "acme")
	b := open(t, Config{DSN: a.cfg.DSN, TTL: time.Hour})
	changes, _ := watch(b)
	listening(t, a.cfg.DSN, 2)
	for range 3 {
		state(t, b, "acme")
		// Listeners die, and what changes before they are back is announced to
		// nobody.
		for _, pid := range listeners(t, a.cfg.DSN) {
			query[bool](t, a.cfg.DSN, "SELECT pg_terminate_backend($1)", pid)
		}
		if err := a.Suspend(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "suspension", func() bool { return state(t, b, "acme") == tenant.StateSuspended })
		if err := a.Resume(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "resumption", func() bool { return state(t, b, "acme") == tenant.StateActive })
		listening(t, a.cfg.DSN, 2)
	}
	addShards(t, a, map[string]string{"eu-1": newDatabase(t)})
	eventually(t, "shard", func() bool { return len(changes()) == 1 })
}

// TestWithoutNotifications: a process that hears of nothing learns of a change when its
// entry expires.
func TestWithoutNotifications(t *testing.T) {
	t.Parallel()
	a := openHome(t)
	create(t, a, "acme")
	const ttl = 300 * time.Millisecond
	b := open(t, Config{DSN: a.cfg.DSN, TTL: ttl})
	listening(t, a.cfg.DSN, 2)
	b.loops.Stop()
	state(t, b, "acme")
	if err := a.Suspend(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, "suspension", func() bool { return state(t, b, "acme") == tenant.StateSuspended })
	t.Logf("Suspend was seen after %s, entries expire after %s", took, ttl)
}

// TestStaleStore: a row that was read before a change, by a question that ends
// after it, is not cached.
func TestStaleStore(t *testing.T) {
	t.Parallel()
	a := openHome(t)
	create(t, a, "acme")
	read, release := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	tr := &tracer{done: func() {
		if first.CompareAndSwap(false, true) {
			close(read)
			<-release
		}
	}}
	b := traced(t, a.cfg.DSN, tr, Config{TTL: time.Hour})
	listening(t, a.cfg.DSN, 2)
	old := make(chan tenant.State)
	go func() { old <- must(b.Lookup(t.Context(), "acme"))(t).State }()
	<-read
	gen := b.cache.stripe("acme")
	before := gen.now()
	if err := a.Suspend(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "notification", func() bool { return gen.now() != before })
	// Who asks now does not join the old question either.
	if got := state(t, b, "acme"); got != tenant.StateSuspended {
		t.Errorf("joined the old question: %s", got)
	}
	close(release)
	if got := <-old; got != tenant.StateActive {
		t.Fatalf("the old question found %s: the test proves nothing", got)
	}
	if got := state(t, b, "acme"); got != tenant.StateSuspended {
		t.Errorf("the old row was cached: %s", got)
	}
}

func TestFlush(t *testing.T) {
	t.Parallel()
	c := newCache(must(Config{}.withDefaults())(t))
	gen := c.stripe("a").now()
	c.put(&tenant.Tenant{ID: "a"}, gen, time.Hour)
	c.flush()
	if got, _ := c.get("a"); got != nil {
		t.Error("an entry is left")
	}
	c.put(&tenant.Tenant{ID: "a"}, gen, time.Hour)
	if got, _ := c.get("a"); got != nil {
		t.Error("a question from before the flush was stored")
	}
}

func TestControlPlaneDown(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	p := newProxy(t)
	r := open(t, Config{DSN: p.dsn(dsn), HomeShard: "default", TTL: time.Millisecond, NegativeTTL: time.Millisecond})
	create(t, r, "acme")
	r.loops.Stop() // or the news of the creation may come behind the lookup
	state(t, r, "acme")
	must(r.Shard(t.Context(), "default"))(t)
	p.cut()
	for range 3 {
		if got := state(t, r, "acme"); got != tenant.StateActive {
			t.Errorf("state %s", got)
		}
		must(r.Shard(t.Context(), "default"))(t)
		eventually(t, "run out", func() bool { got, _ := r.cache.get("acme"); return got == nil })
	}
	ctx := t.Context()
	for what, err := range map[string]error{
		"lookup":  second(r.Lookup(ctx, "nobody")),
		"get":     second(r.Get(ctx, "acme")),
		"list":    second(r.List(ctx, Filter{})),
		"shard":   second(r.Shard(ctx, "nowhere")),
		"shards":  second(r.Shards(ctx)),
		"create":  second(r.Create(ctx, tenant.Spec{ID: "new"})),
		"adopt":   second(r.Adopt(ctx, tenant.Spec{ID: "new", Shard: "default"})),
		"suspend": r.Suspend(ctx, "acme"),
		"delete":  r.Delete(ctx, "acme"),
		"add":     r.AddShard(ctx, tenant.Shard{Name: "eu-1", Primary: elsewhere("x")}),
		"remove":  r.RemoveShard(ctx, "default"),
		"ping":    r.Ping(ctx),
		"open":    second(Open(ctx, Config{DSN: p.dsn(dsn)})),
	} {
		if !errors.Is(err, tenant.ErrUnavailable) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", what, err)
		}
	}
	p.restore(t)
	run(t, dsn, "UPDATE tenancy.tenants SET state = 'suspended'")
	eventually(t, "recovery", func() bool { return state(t, r, "acme") == tenant.StateSuspended })
	if err := r.Ping(ctx); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestStaleRunsOut(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	r := open(t, Config{DSN: p.dsn(newDatabase(t)), HomeShard: "default", TTL: 1, NegativeTTL: 1, StaleFor: time.Millisecond})
	create(t, r, "acme")
	state(t, r, "acme")
	p.cut()
	eventually(t, "end of the stale entry", func() bool {
		_, err := r.Lookup(t.Context(), "acme")
		return errors.Is(err, tenant.ErrUnavailable)
	})
	eventually(t, "end of the stale shard", func() bool {
		_, err := r.Shard(t.Context(), "default")
		return errors.Is(err, tenant.ErrUnavailable)
	})
}

func TestHostileIDs(t *testing.T) {
	t.Parallel()
	tr := &tracer{}
	r := traced(t, newDatabase(t), tr, Config{NegativeTTL: time.Hour})
	for _, id := range []tenant.ID{
		"", "A", "a b", "a'b", `a"b`, "a;b", "a\x00b", "ünï", "../a", "a.b", "pg_x", "public", "-a",
		"information_schema", tenant.ID(strings.Repeat("a", 64)), "a%20b", "а",
	} {
		for what, err := range map[string]error{
			"lookup": second(r.Lookup(t.Context(), id)), "get": second(r.Get(t.Context(), id)),
			"create": second(r.Create(t.Context(), tenant.Spec{ID: id})), "adopt": second(r.Adopt(t.Context(), tenant.Spec{ID: id})),
			"suspend": r.Suspend(t.Context(), id), "resume": r.Resume(t.Context(), id), "delete": r.Delete(t.Context(), id),
		} {
			if !errors.Is(err, tenant.ErrInvalidID) {
				t.Errorf("%s %q: %v", what, id, err)
			}
		}
	}
	if n := tr.count.Load(); n != 0 {
		t.Errorf("%d questions", n)
	}
	if st := r.CacheStats(); st.Entries != 0 || st.Unknown != 0 {
		t.Errorf("%+v", st)
	}
}

func TestNegativeBound(t *testing.T) {
	t.Parallel()
	c := newCache(must(Config{}.withDefaults())(t))
	for i := range 2 * maxNegative {
		id := tenant.ID(fmt.Sprintf("t%d", i))
		c.putUnknown(id, unknown(id), c.stripe(id).now())
	}
	n := 0
	for i := range c.stripes {
		n += c.stripes[i].unknown.ItemCount()
	}
	if n != stripes*share(maxNegative) {
		t.Errorf("%d entries, want %d", n, stripes*share(maxNegative))
	}
}

// TestCorruptRow: a row that somebody wrote by hand does not lead into a
// system schema.
func TestCorruptRow(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	run(t, r.cfg.DSN, "UPDATE tenancy.tenants SET schema_name = 'pg_catalog'")
	eventually(t, "notification", func() bool {
		_, err := r.Lookup(t.Context(), "acme")
		return errors.Is(err, tenant.ErrInvalidSchema)
	})
}

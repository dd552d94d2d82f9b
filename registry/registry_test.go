package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			r, err := Open(t.Context(), Config{DSN: dsn, HomeShard: fmt.Sprintf("home-%d", i%2)})
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			if all, err := r.Shards(t.Context()); err != nil || len(all) != 1 {
				t.Errorf("shards %v, %v", all, err)
			}
		})
	}
	wg.Wait()
	if n := query[int](t, dsn, "SELECT count(*)::int FROM tenancy.migrations WHERE version_id = 1"); n != 1 {
		t.Errorf("migrated %d times", n)
	}
}

// TestOpenNeedsNoRights: where the control plane is ready, a role that may
// create nothing can use it.
func TestOpenNeedsNoRights(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	open(t, Config{DSN: dsn, HomeShard: "default"}).Close()
	role := fmt.Sprintf("app%d", roles.Add(1))
	run(t, dsn, fmt.Sprintf(`CREATE ROLE %[1]s LOGIN; GRANT USAGE ON SCHEMA tenancy TO %[1]s;
		GRANT SELECT ON tenancy.shards, tenancy.tenants, tenancy.migrations TO %[1]s`, role))
	r := open(t, Config{DSN: strings.Replace(dsn, "postgres:"+password, role+":"+password, 1), HomeShard: "default"})
	if _, err := r.Lookup(t.Context(), "acme"); !errors.Is(err, tenant.ErrUnknown) {
		t.Error(err)
	}
}

func TestSearchPathOfTheApplication(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	run(t, dsn, "CREATE SCHEMA app; CREATE TABLE app.tenants (id int); CREATE TABLE app.shards (id int); CREATE TABLE app.migrations (id int)")
	cc := must(pgx.ParseConfig(dsn + "&search_path=app"))(t)
	r := open(t, Config{ConnConfig: cc, HomeShard: "default"})
	create(t, r, "acme")
	must(r.Lookup(t.Context(), "acme"))(t)
	if n := query[int](t, dsn, "SELECT count(*)::int FROM pg_class WHERE relnamespace = 'app'::regnamespace"); n != 3 {
		t.Errorf("%d relations in the application's schema", n)
	}
	if cc.RuntimeParams["search_path"] != "app" {
		t.Error("the caller's ConnConfig was changed")
	}
}

func TestSimpleProtocol(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t) + "&default_query_exec_mode=simple_protocol", HomeShard: "default"})
	create(t, r, "acme")
	must(r.Lookup(t.Context(), "acme"))(t)
	if err := r.AddShard(t.Context(), tenant.Shard{Name: "eu-1", Primary: elsewhere("x"), Replicas: []string{elsewhere("y"), elsewhere("z")}}); err != nil {
		t.Fatal(err)
	}
	if got := must(r.Shard(t.Context(), "eu-1"))(t); len(got.Replicas) != 2 {
		t.Errorf("got %v", got)
	}
	if err := r.Delete(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	dsn := elsewhere("postgres")
	for name, cfg := range map[string]Config{
		"no DSN":            {},
		"both":              {DSN: dsn, ConnConfig: must(pgx.ParseConfig(dsn))(t)},
		"unreadable":        {DSN: "postgres://u:" + password + "@host:port/db"},
		"unreadable words":  {DSN: "password = '" + password},
		"another scheme":    {DSN: "mysql://u:" + password + "@host/db?ssl=off"},
		"negative TTL":      {DSN: dsn, TTL: -1},
		"negative MaxConns": {DSN: dsn, MaxConns: -1},
		"public":            {DSN: dsn, Schema: "public"},
		"system schema":     {DSN: dsn, Schema: "pg_catalog"},
		"long schema":       {DSN: dsn, Schema: strings.Repeat("x", 64)},
	} {
		if r, err := Open(t.Context(), cfg); err == nil || errors.Is(err, tenant.ErrUnavailable) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v, want the configuration refused", name, err)
			if r != nil {
				r.Close()
			}
		}
	}
}

func TestWrongPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	dsn := strings.Replace(newDatabase(t), "postgres:"+password, "nobody:"+password, 1)
	if _, err := Open(t.Context(), Config{DSN: dsn}); !errors.Is(err, tenant.ErrUnavailable) || strings.Contains(err.Error(), password) {
		t.Error(err)
	}
	r := openHome(t)
	if s := fmt.Sprintf("%s %v", r, r); strings.Contains(s, password) {
		t.Error(s)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	must(r.Lookup(t.Context(), "acme"))(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(r.Close)
		wg.Go(func() {
			if _, err := r.Lookup(t.Context(), "nobody"); err == nil {
				t.Error("found nobody")
			}
		})
	}
	wg.Wait()
	for what, err := range map[string]error{
		"lookup": second(r.Lookup(t.Context(), "acme")), "get": second(r.Get(t.Context(), "acme")),
		"create": second(r.Create(t.Context(), tenant.Spec{ID: "x"})), "ping": r.Ping(t.Context()),
	} {
		if !errors.Is(err, tenant.ErrUnavailable) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}

// TestCloseEndsFlights: a question that hangs does not hold Close up.
func TestCloseEndsFlights(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := open(t, Config{DSN: dsn, QueryTimeout: time.Hour})
	conn := must(pgx.Connect(t.Context(), dsn))(t)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE tenancy.tenants"); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() { _, err := r.Lookup(t.Context(), "acme"); failed <- err }()
	eventually(t, "waiting question", func() bool {
		return query[bool](t, dsn, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')")
	})
	r.Close()
	if err := <-failed; !errors.Is(err, tenant.ErrUnavailable) {
		t.Error(err)
	}
}

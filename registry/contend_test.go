package registry

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// More take minutes:
//
//	go test ./registry -race -run TestContention -v -args -registry.processes=100 -registry.operations=10
var (
	processes  = flag.Int("registry.processes", 10, "registries that TestContention opens")
	operations = flag.Int("registry.operations", 15, "what each of them does")
)

// contestedTenants are the IDs that everybody wants.
const contestedTenants = 8

// contest is many processes' work on the same few tenants.
type contest struct {
	t              testing.TB
	dsn, dir       string
	set            *migrations.Set
	made, deleted  atomic.Int64 // by calls that succeeded
	archived, back atomic.Int64
}

// TestContention: registries as processes have them create, delete, archive, restore,
// rename and migrate the same tenants at random. Each change has one winner, and in the
// end every row has its schema and every schema its row.
func TestContention(t *testing.T) {
	t.Parallel()
	c := &contest{t: t, dir: t.TempDir()}
	c.dsn = newDatabase(t)
	if *processes > 20 {
		c.dsn = c.cluster()
	}
	set, err := migrations.Load(fstest.MapFS{"00001_b.sql": {Data: []byte("-- +goose Up\nCREATE TABLE b (n int);")}})
	c.set = must(set, err)(t)
	regs := make([]*Registry, *processes)
	for i := range regs {
		regs[i] = open(t, Config{DSN: c.dsn, HomeShard: "default", Programs: programs(t), MaxConns: 1, DeleteEvery: -1})
		regs[i].SetProvisioner(func(context.Context, tenant.Tenant) error { return errors.New("the script does it") })
		regs[i].SetRecipe(Recipe{Name: "one"})
		regs[i].SetScript("one", func(schema string) string {
			q := tenant.QuoteIdent(schema)
			return fmt.Sprintf("CREATE TABLE %[1]s.a (n int); INSERT INTO %[1]s.a VALUES (1)", q)
		})
	}
	var wg sync.WaitGroup
	for i, r := range regs {
		wg.Go(func() { c.work(r, rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))) })
	}
	wg.Wait()
	c.check(regs[0])
	t.Logf("%d were made, %d archived, %d restored, %d deleted", c.made.Load(), c.archived.Load(), c.back.Load(), c.deleted.Load())
}

func (c *contest) cluster() string {
	c.t.Helper()
	bin := must(pgcluster.Find(c.t.Context(), pgcluster.FindOptions{Version: "15"}))(c.t)
	cluster := must(pgcluster.Start(c.t.Context(), pgcluster.Config{Binaries: bin, Params: map[string]string{
		"max_connections": fmt.Sprint(8**processes + 50),
	}}))(c.t)
	c.t.Cleanup(func() { _ = cluster.Stop(context.Background()) })
	return cluster.Control.DSN
}

// refusals are what one who comes second, or too late, is told.
var refusals = []error{
	tenant.ErrExists, tenant.ErrUnknown, ErrState, ErrNoArchive, migrations.ErrLeftOut,
	ErrDamaged, fs.ErrNotExist, // the file of an archive that was another by then
}

func (c *contest) work(r *Registry, random *rand.Rand) {
	id := func() tenant.ID { return tenant.ID(fmt.Sprint("t", random.IntN(contestedTenants))) }
	ctx := c.t.Context()
	for range *operations {
		what, err := c.operation(ctx, r, random.IntN(16), id(), id())
		for _, refusal := range refusals {
			if errors.Is(err, refusal) {
				err = nil
			}
		}
		if err != nil {
			c.t.Errorf("%s: %v", what, err)
		}
	}
}

func (c *contest) operation(ctx context.Context, r *Registry, n int, id, other tenant.ID) (what string, err error) {
	switch n {
	case 0, 1, 2, 3, 4:
		return "create", won(errorOf(r.Create(ctx, tenant.Spec{ID: id})), &c.made)
	case 5:
		return "delete", won(r.Delete(ctx, id), &c.deleted)
	case 6:
		_, err = r.DeleteAfter(ctx, id, time.Duration(rand.N(2))*time.Hour)
		return "delete after", err
	case 7:
		_, err = r.Undelete(ctx, id)
		return "undelete", err
	case 8:
		return "delete what is due", newDeleter(r).runOnce(ctx, time.Now())
	case 9, 10:
		_, err = r.Archive(ctx, id, ArchiveOptions{Dir: c.dir})
		if err = won(err, &c.archived); err != nil || n == 9 {
			return "archive", err
		}
		fallthrough // others have had the time to come between
	case 11, 12:
		a, err := r.Archived(ctx, id)
		if err == nil {
			_, err = r.Restore(ctx, id, filepath.Join(c.dir, a.File), RestoreOptions{})
		}
		return "restore", won(err, &c.back)
	case 13:
		_, err = r.Rename(ctx, id, other)
		return "rename", err
	case 14:
		return "resume", r.Resume(ctx, id)
	}
	rep, err := migrations.Run(ctx, r, c.set, migrations.Options{MaxFailures: -1, PerShard: 1, Retries: 1, Backoff: time.Millisecond})
	if rep != nil {
		for id, cause := range rep.Failed {
			c.t.Errorf("migrate %s: %v", id, cause)
		}
	}
	return "migrate", err
}

// won counts a success.
func won(err error, count *atomic.Int64) error {
	if err == nil {
		count.Add(1)
	}
	return err
}

// check compares rows, schemas and events.
func (c *contest) check(r *Registry) {
	t := c.t
	rows := must(r.List(t.Context(), Filter{}))(t)
	withSchema := 0
	for _, x := range rows {
		switch x.State {
		case tenant.StateActive, tenant.StateSuspended:
			withSchema++
			comment := query[string](t, c.dsn, "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1", x.Schema)
			origin := query[string](t, c.dsn, "SELECT origin FROM tenancy.tenants WHERE id = $1", x.ID)
			if !strings.HasSuffix(comment, " "+origin) {
				t.Errorf("%s: its schema is marked %q, not as %s", x.ID, comment, origin)
			}
			if n := query[int](t, c.dsn, fmt.Sprintf("SELECT count(*)::int FROM %s.a", tenant.QuoteIdent(x.Schema))); n != 1 {
				t.Errorf("%s: %d rows", x.ID, n)
			}
			if b := query[bool](t, c.dsn, "SELECT to_regclass($1) IS NOT NULL", tenant.QuoteIdent(x.Schema)+".b"); b != (x.Version == 1) {
				t.Errorf("%s: version %d, migrated %t", x.ID, x.Version, b)
			}
		case tenant.StateArchived:
			must(r.Archived(t.Context(), x.ID))(t)
		default:
			t.Errorf("%s is %s", x.ID, x.State)
		}
	}
	const ours = "SELECT count(*)::int FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') LIKE 'gormtenancy%' OR nspname LIKE 'archived%' OR nspname LIKE 'tenant\\_%'"
	if n := query[int](t, c.dsn, ours); n != withSchema {
		t.Errorf("%d schemas, want %d", n, withSchema)
	}
	const events = "SELECT count(*)::int FROM tenancy.events WHERE object = 'tenant' AND "
	if n := query[int](t, c.dsn, events+`before = '{"state": "provisioning"}' AND after = '{"state": "active"}'`); int64(n) != c.made.Load() {
		t.Errorf("%d tenants became active, %d were created", n, c.made.Load())
	}
	if n := query[int](t, c.dsn, events+"action = 'delete' AND actor = ''"); int64(n) != c.deleted.Load() {
		t.Errorf("%d rows were deleted, %d tenants", n, c.deleted.Load())
	}
	if n := query[int](t, c.dsn, events+`after ->> 'state' IN ('active', 'suspended') AND before ->> 'state' = 'archived'`); int64(n) != c.back.Load() {
		t.Errorf("%d rows came back, %d tenants", n, c.back.Load())
	}
}

package tenantplugin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// notebook is an Observer that remembers.
type notebook struct {
	mu   sync.Mutex
	seen []tenantplugin.Statement
}

func (n *notebook) ObserveStatement(_ context.Context, s tenantplugin.Statement) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, s)
}

// of returns what was observed while do ran.
func (n *notebook) of(do func()) []tenantplugin.Statement {
	n.mu.Lock()
	n.seen = nil
	n.mu.Unlock()
	do()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen
}

func TestObserver(t *testing.T) {
	t.Parallel()
	n := &notebook{}
	w := newWorldWith(t, pgtest.Any(t), &gorm.Config{TranslateError: true}, func(*postgres.Config) {}, tenantplugin.WithObserver(n))
	const read, write, ddl, other = tenantplugin.KindRead, tenantplugin.KindWrite, tenantplugin.KindDDL, tenantplugin.KindOther
	for name, c := range map[string]struct {
		run  func(db *gorm.DB)
		want []tenantplugin.Statement
	}{
		"First":  {func(db *gorm.DB) { db.First(&User{}, 1) }, one(read, "users", 1, nil)},
		"nobody": {func(db *gorm.DB) { db.First(&User{}, 99) }, one(read, "users", 0, gorm.ErrRecordNotFound)},
		"Count":  {func(db *gorm.DB) { db.Model(&Pet{}).Count(new(int64)) }, one(read, "pets", 1, nil)},
		"Create": {func(db *gorm.DB) { db.Create(&[]Pet{{Name: "x"}, {Name: "y"}}) }, one(write, "pets", 2, nil)},
		"Update": {func(db *gorm.DB) { db.Model(&User{ID: 1}).Update("name", db.Statement.Context.Value(nameKey{})) }, one(write, "users", 1, nil)},
		"Delete": {func(db *gorm.DB) { db.Delete(&Pet{}, 99) }, one(write, "pets", 0, nil)},
		"Exec":   {func(db *gorm.DB) { db.Exec("update users set name = name") }, one(write, "", 1, nil)},
		"Raw":    {func(db *gorm.DB) { db.Raw("select 1").Scan(new(int)) }, one(read, "", -1, nil)},
		"raw writes": {func(db *gorm.DB) {
			db.Raw("insert into pets (name) values ('r') returning id").Scan(new(int))
		}, one(write, "", -1, nil)},
		"Row":        {func(db *gorm.DB) { _ = db.Model(&User{}).Select("id").Row().Scan(new(int)) }, one(read, "users", -1, nil)},
		"broken Row": {func(db *gorm.DB) { _ = db.Raw("select nonsense").Row().Err() }, one(read, "", -1, errUndefined)},
		"Rows": {func(db *gorm.DB) {
			if rows, err := db.Model(&User{}).Rows(); err == nil {
				rows.Close()
			}
		}, one(read, "users", -1, nil)},
		"broken Rows": {func(db *gorm.DB) {
			if rows, err := db.Raw("select nonsense").Rows(); err == nil {
				rows.Close()
			}
		}, one(read, "", -1, errUndefined)},
		"failed in a transaction": {func(db *gorm.DB) {
			_ = db.Transaction(func(tx *gorm.DB) error { return tx.Exec("delete from nonsense").Error })
		}, one(write, "", 0, errUndefined)},
		"DDL":       {func(db *gorm.DB) { db.Exec("create index on pets (name)") }, one(ddl, "", 0, nil)},
		"SET":       {func(db *gorm.DB) { db.Exec("set local lock_timeout = '1s'") }, one(other, "", 0, nil)},
		"duplicate": {func(db *gorm.DB) { db.Create(&User{ID: 1}) }, one(write, "users", 0, gorm.ErrDuplicatedKey)},
		"cancelled": {func(db *gorm.DB) {
			ctx, cancel := context.WithTimeout(db.Statement.Context, 30*time.Millisecond)
			defer cancel()
			db.WithContext(ctx).Exec("select pg_sleep(10)")
		}, one(read, "", 0, context.DeadlineExceeded)},
		"transaction": {func(db *gorm.DB) {
			_ = db.Transaction(func(tx *gorm.DB) error {
				tx.First(&User{}, 1)
				return tx.Create(&Pet{}).Error
			})
		}, append(one(read, "users", 1, nil), one(write, "pets", 1, nil)...)},
		"Preload": {
			func(db *gorm.DB) { db.Preload("Pets").First(&User{}, 1) },
			append(one(read, "pets", 0, nil), one(read, "users", 1, nil)...),
		},
	} {
		for _, id := range []tenant.ID{"a", "c"} {
			t.Run(name+" as "+string(id), func(t *testing.T) {
				ctx := context.WithValue(tenant.NewContext(t.Context(), id), nameKey{}, string(id))
				began := time.Now()
				got := n.of(func() { c.run(w.db.WithContext(ctx)) })
				if len(got) != len(c.want) {
					t.Fatalf("observed %+v", got)
				}
				for i, want := range c.want {
					want.Tenant, want.Shard, want.Node = id, map[tenant.ID]string{"a": "s1", "c": "s2"}[id], "primary"
					compare(t, got[i], want, time.Since(began))
				}
			})
		}
	}
	refused(t, w, n)
}

type nameKey struct{}

// errUndefined stands for PostgreSQL's error about what does not exist.
var errUndefined = errors.New("undefined")

func one(kind tenantplugin.Kind, table string, rows int64, err error) []tenantplugin.Statement {
	return []tenantplugin.Statement{{Kind: kind, Table: table, Rows: rows, Err: err}}
}

// compare looks at everything but how many rows a read of many returned.
func compare(t *testing.T, got, want tenantplugin.Statement, longest time.Duration) {
	t.Helper()
	if got.Duration <= 0 || got.Duration > longest {
		t.Errorf("it took %v", got.Duration)
	}
	if c := code(got.Err); want.Err == errUndefined && (c == "42703" || c == "42P01") {
		got.Err, want.Err = nil, nil
	}
	if !errors.Is(got.Err, want.Err) || want.Err == nil && got.Err != nil {
		t.Errorf("error %v, want %v", got.Err, want.Err)
	}
	if want.Table == "pets" && want.Kind == tenantplugin.KindRead && want.Rows == 0 {
		want.Rows = got.Rows // of a Preload: as many as there are by now
	}
	if got.Text == "" || got.RoundTrips < 1 || got.Busy <= 0 || got.Wait < 0 || got.Busy+got.Wait > got.Duration {
		t.Errorf("%q in %d round trips, %v at work and %v waiting of %v", got.Text, got.RoundTrips, got.Busy, got.Wait, got.Duration)
	}
	got.Text, got.RoundTrips, got.Busy, got.Wait = "", 0, 0, 0
	got.Duration, got.Err, want.Err = 0, nil, nil
	if got != want {
		t.Errorf("observed %+v\nwant     %+v", got, want)
	}
}

// What a statement took is its own, without what ran for it.
func TestObserverTellsCosts(t *testing.T) {
	t.Parallel()
	n := &notebook{}
	w := newWorld(t, pgtest.Any(t), tenantplugin.WithObserver(n))
	db := w.as(t, "a")
	for name, c := range map[string]struct {
		run   func()
		trips []int
	}{
		"read":    {func() { db.First(&User{}, 1) }, []int{1}},
		"create":  {func() { db.Create(&Pet{Name: "c"}) }, []int{2}},
		"preload": {func() { db.Preload("Pets").First(&User{}, 1) }, []int{1, 1}},
		"association": {func() {
			db.Create(&User{Name: fmt.Sprint(rand.Int64()), Pets: []Pet{{Name: "d"}}})
		}, []int{1, 2}},
		"transaction": {func() {
			_ = db.Transaction(func(tx *gorm.DB) error { return tx.First(&User{}, 1).Error })
		}, []int{1}}, // the COMMIT is nobody's
	} {
		c.run() // prepares
		seen := n.of(c.run)
		var trips []int
		for _, s := range seen {
			trips = append(trips, s.RoundTrips)
		}
		if !slices.Equal(trips, c.trips) {
			t.Errorf("%s: %v round trips, want %v", name, trips, c.trips)
		}
		if len(seen) == 2 && seen[1].Busy > seen[1].Duration-seen[0].Duration {
			t.Errorf("%s: %v of %v, without %v", name, seen[1].Busy, seen[1].Duration, seen[0].Duration)
		}
	}
}

// Where a statement ran is told to all who ask.
func TestObserverLeavesTracesAlone(t *testing.T) {
	t.Parallel()
	n := &notebook{}
	w := newWorld(t, pgtest.Any(t), tenantplugin.WithObserver(n))
	outer, first := resolver.Trace(tenant.NewContext(t.Context(), "c"))
	inner, second := resolver.Trace(outer)
	seen := n.of(func() { sees(t, w.db.WithContext(inner), "c") })
	want := resolver.Route{Shard: "s2", Node: "primary"}
	if len(seen) != 1 || seen[0].Shard != "s2" || *first != want || *second != want {
		t.Errorf("observed %+v, traced %+v and %+v", seen, *first, *second)
	}
}

// bomb is an Observer that breaks.
type bomb struct{}

func (bomb) ObserveStatement(context.Context, tenantplugin.Statement) { panic("observer on purpose") }

// What a broken observer makes of it is logged; statements end as they would.
func TestObserverPanics(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	w := newWorldWith(t, pgtest.Any(t), &gorm.Config{TranslateError: true}, func(*postgres.Config) {},
		tenantplugin.WithObserver(bomb{}), tenantplugin.WithLogger(slog.New(slog.NewTextHandler(&said, nil))))
	db := w.as(t, "a")
	sees(t, db, "a")
	if err := db.Create(&User{Name: "a"}).Error; !errors.Is(err, gorm.ErrDuplicatedKey) {
		t.Errorf("the statement's error became %v", err)
	}
	ok(t, db.Create(&Pet{Name: "kept"}).Error, db.Transaction(func(tx *gorm.DB) error { return tx.Create(&Pet{Name: "kept"}).Error }))
	if n := w.count(t, "a", "pets where name = 'kept'"); n != 2 {
		t.Errorf("%d rows were kept", n)
	}
	var id int
	ok(t, db.Raw("select 1").Row().Scan(&id))
	if n := strings.Count(said.String(), "observer on purpose"); n != 5 {
		t.Errorf("%d panics were logged:\n%s", n, said.String())
	}
	if !strings.Contains(said.String(), "tenant=a") || !strings.Contains(said.String(), "observer_test.go") {
		t.Errorf("the log does not say where: %s", said.String())
	}
}

// refused statements are observed too, without a shard.
func refused(t *testing.T, w *world, n *notebook) {
	for name, c := range map[string]struct {
		ctx  context.Context
		id   tenant.ID
		want error
	}{
		"nobody":  {t.Context(), "", tenant.ErrNone},
		"unknown": {tenant.NewContext(t.Context(), "zed"), "zed", tenant.ErrUnknown},
		"bad":     {tenant.NewContext(t.Context(), "No Such"), "", tenant.ErrInvalidID},
	} {
		for what, run := range map[string]struct {
			kind tenantplugin.Kind
			run  func(*gorm.DB)
		}{
			"Find":   {tenantplugin.KindRead, func(db *gorm.DB) { db.Find(&[]User{}) }},
			"Row":    {tenantplugin.KindRead, func(db *gorm.DB) { _ = db.Model(&User{}).Select("id").Row().Err() }},
			"Create": {tenantplugin.KindWrite, func(db *gorm.DB) { db.Create(&User{}) }},
		} {
			kind := run.kind
			got := n.of(func() { run.run(w.db.WithContext(c.ctx)) })
			if len(got) != 1 {
				t.Fatalf("%s, %s: observed %+v", name, what, got)
			}
			if s := got[0]; s.Tenant != c.id || s.Kind != kind || s.Shard != "" || s.Node != "" || !errors.Is(s.Err, c.want) || s.Table != "users" {
				t.Errorf("%s, %s: observed %+v", name, what, s)
			}
		}
	}
}

package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func addShards(t testing.TB, r *Registry, dsns map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(dsns)) {
		if err := r.AddShard(t.Context(), tenant.Shard{Name: name, Primary: dsns[name]}); err != nil {
			t.Fatal(err)
		}
	}
}

// watch records the shards that a registry tells of.
func watch(r *Registry) (changes func() []string, cancel func()) {
	var mu sync.Mutex
	var names []string
	cancel = r.OnShardChange(func(name string) {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, name)
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(names)
	}, cancel
}

func TestHomeShard(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	if got := must(r.Shard(t.Context(), "default"))(t); got.Primary != r.cfg.DSN {
		t.Errorf("home is %v", got)
	}
	if got := query[string](t, r.cfg.DSN, "SELECT primary_dsn FROM tenancy.shards"); got != "" {
		t.Errorf("the control database's DSN was stored: %s", tenant.RedactDSN(got))
	}
	again := open(t, Config{DSN: r.cfg.DSN, HomeShard: "second"})
	if all := must(again.Shards(t.Context()))(t); len(all) != 1 {
		t.Errorf("shards %v", all)
	}
	changes, _ := watch(r)
	if err := r.AddShard(t.Context(), tenant.Shard{Name: "default", Primary: r.cfg.DSN}); err != nil || len(changes()) != 0 {
		t.Errorf("the same home again: %v, %v", err, changes())
	}
	if _, err := Open(t.Context(), Config{DSN: newDatabase(t), HomeShard: "Bad Name"}); err == nil {
		t.Error("a bad name was taken")
	}
}

func TestRegion(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t), HomeShard: "default", Region: "eu"})
	if home := must(r.Shard(t.Context(), "default"))(t); home.Region != "eu" {
		t.Errorf("home is in %q", home.Region)
	}
	if err := r.AddShard(t.Context(), tenant.Shard{Name: "us-1", Region: "us", Primary: newDatabase(t)}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if got := create(t, r, tenant.ID(fmt.Sprintf("eu-%d", i))); got.Placement.Region != "eu" {
			t.Errorf("placed in %q", got.Placement.Region)
		}
	}
	for _, spec := range []tenant.Spec{{ID: "by-region", Region: "us"}, {ID: "by-shard", Shard: "us-1"}} {
		if got := must(r.Create(t.Context(), spec))(t); got.Placement.Region != "us" {
			t.Errorf("%s was placed in %q", spec.ID, got.Placement.Region)
		}
	}
	r.SetRegion("nowhere")
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "lost"}); !errors.Is(err, ErrNoShard) {
		t.Errorf("a region without shards: %v", err)
	}
}

func TestShards(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t)})
	other := open(t, Config{DSN: r.cfg.DSN})
	mine, cancel := watch(r)
	theirs, _ := watch(other)
	s := tenant.Shard{Name: "eu-1", Region: "eu", Primary: newDatabase(t), Replicas: []string{elsewhere("r1"), elsewhere("r2")}}
	add := func(s tenant.Shard) {
		t.Helper()
		if err := r.AddShard(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(n int) {
		t.Helper()
		if got := mine(); len(got) != n {
			t.Errorf("own watcher: %v, want %d changes", got, n)
		}
		eventually(t, fmt.Sprintf("change %d in the other process", n), func() bool { return len(theirs()) == n })
	}
	add(s)
	expect(1)
	add(s)
	for _, reg := range []*Registry{r, other} {
		if got := must(reg.Shard(t.Context(), "eu-1"))(t); !equal(got, s) {
			t.Errorf("got %v, want %v", got, s)
		}
	}
	s.Primary = newDatabase(t)
	add(s)
	expect(2)
	if got := must(other.Shard(t.Context(), "eu-1"))(t); got.Primary != s.Primary {
		t.Errorf("the other process has %v", got)
	}
	if err := r.RemoveShard(t.Context(), "eu-1"); err != nil {
		t.Fatal(err)
	}
	expect(3)
	if _, err := other.Shard(t.Context(), "eu-1"); !errors.Is(err, tenant.ErrUnknownShard) {
		t.Errorf("removed: %v", err)
	}
	cancel()
	add(s)
	if got := mine(); len(got) != 3 {
		t.Errorf("told after cancel: %v", got)
	}
}

func TestShardRefused(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t), HomeShard: "default"})
	for _, s := range []tenant.Shard{
		{Name: "Bad", Primary: elsewhere("x")},
		{Name: "eu-1"},
		{Name: "eu-1", Primary: "postgres://u:" + password + "@host:port/db"},
		{Name: "eu-1", Primary: "password = '" + password + " port=x"},
		{Name: "eu-1", Primary: elsewhere("x"), Replicas: []string{"port=" + password}},
		{Name: "twin", Primary: strings.Replace(r.cfg.DSN, "postgres:", "other:", 1)},
		{Name: "twin", Primary: r.cfg.DSN + "&application_name=x"},
	} {
		if err := r.AddShard(t.Context(), s); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%v: %v", s, err)
		}
	}
	if err := r.RemoveShard(t.Context(), "none"); !errors.Is(err, tenant.ErrUnknownShard) {
		t.Errorf("remove none: %v", err)
	}
	create(t, r, "a")
	create(t, r, "b")
	if err := r.RemoveShard(t.Context(), "default"); !errors.Is(err, ErrShardInUse) || !strings.Contains(err.Error(), "2 tenants") {
		t.Errorf("remove in use: %v", err)
	}
}

func TestPlacement(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t)})
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "a"}); !errors.Is(err, ErrNoShard) {
		t.Errorf("no shards: %v", err)
	}
	dsns := map[string]string{}
	for _, s := range []tenant.Shard{{Name: "eu-1", Region: "eu"}, {Name: "eu-2", Region: "eu"}, {Name: "us-1", Region: "us"}} {
		s.Primary = newDatabase(t)
		dsns[s.Name] = s.Primary
		if err := r.AddShard(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	count := map[string]int{}
	for i := range 12 {
		spec := tenant.Spec{ID: tenant.ID(fmt.Sprintf("t%d", i)), Region: "eu"}
		got := must(r.Create(t.Context(), spec))(t)
		if got.Placement.Region != "eu" || !schemaExists(t, dsns[got.Placement.Shard], got.Schema) {
			t.Errorf("created %+v", got)
		}
		count[got.Placement.Shard]++
	}
	if count["us-1"] > 0 || count["eu-1"] == 0 || count["eu-2"] == 0 {
		t.Errorf("spread %v", count)
	}
	if got := must(r.Create(t.Context(), tenant.Spec{ID: "x", Shard: "us-1"}))(t); got.Placement.Shard != "us-1" || got.Placement.Region != "us" {
		t.Errorf("created %+v", got)
	}
	// The same schema name is free on every shard.
	for _, shard := range []string{"eu-1", "eu-2"} {
		must(r.Create(t.Context(), tenant.Spec{ID: tenant.ID("same-" + shard), Schema: "same", Shard: shard}))(t)
	}
}

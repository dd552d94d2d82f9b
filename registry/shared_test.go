package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// fakeCache is a Cache in memory, which believes everything it is given.
type fakeCache struct {
	cfg    CacheConfig
	mu     sync.Mutex
	values map[string][]byte
	calls  []string
	closed int
}

func (f *fakeCache) note(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
}

func (f *fakeCache) noted(call string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Contains(" "+strings.Join(f.calls, " ")+" ", " "+call+" ")
}

func (f *fakeCache) Open(_ context.Context, cfg CacheConfig) error { f.cfg = cfg; return nil }

func (f *fakeCache) Get(_ context.Context, key string) Cached {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Cached{Value: f.values[key], Left: time.Hour, Lease: "lease"}
}

func (f *fakeCache) Put(key, lease string, value []byte) {
	f.note(fmt.Sprintf("put:%s:%s:%t", key, lease, value != nil))
	f.mu.Lock()
	defer f.mu.Unlock()
	if value != nil {
		f.values[key] = value
	}
}

func (f *fakeCache) Invalidate(key string, announce bool) {
	f.note(fmt.Sprintf("invalidate:%s:%t", key, announce))
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.values, key)
}

func (f *fakeCache) Flush() {
	f.note("flush")
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.values)
}

func (f *fakeCache) Stats() SharedStats { return SharedStats{Hits: 42} }
func (f *fakeCache) Close()             { f.closed++ }

func newFake() *fakeCache { return &fakeCache{values: map[string][]byte{}} }

// TestSharedLevel: what the registry asks of its Cache, and tells it.
func TestSharedLevel(t *testing.T) {
	t.Parallel()
	fake, tr := newFake(), &tracer{}
	r := traced(t, newDatabase(t), tr, Config{HomeShard: "default", TTL: time.Hour, Cache: fake})
	dsn := r.conn.ConnString()
	listening(t, dsn, 1)
	if fake.noted("flush") {
		t.Error("a start makes everybody forget everything")
	}
	create(t, r, "acme")
	eventually(t, "own announcement, and the control plane's", func() bool {
		return fake.noted("invalidate:t:acme:true") && fake.noted("invalidate:t:acme:false")
	})
	eventually(t, "answer given to the shared level", func() bool {
		state(t, r, "acme")
		return fake.noted("put:t:acme:lease:true")
	})
	_ = second(r.Lookup(t.Context(), "nobody"))
	if !fake.noted("put:t:nobody:lease:false") {
		t.Error("the lease for an unknown tenant was kept")
	}
	r.cache.flush()
	fake.Put("t:acme", "", must(encode(&tenant.Tenant{
		ID: "acme", Schema: "tenant_acme", State: tenant.StateSuspended, Placement: tenant.Placement{Shard: "default"},
	}))(t))
	n := tr.count.Load()
	if got := state(t, r, "acme"); got != tenant.StateSuspended || tr.count.Load() != n {
		t.Errorf("%s, asked %d times: the shared level was not believed", got, tr.count.Load()-n)
	}
	// Another process announces, before the control plane does.
	gen := r.cache.stripe("acme").now()
	fake.cfg.Heard("t:acme")
	if r.cache.stripe("acme").now() == gen {
		t.Error("an announcement was not heard")
	}
	for _, pid := range listeners(t, dsn) {
		query[bool](t, dsn, "SELECT pg_terminate_backend($1)", pid)
	}
	eventually(t, "flush after a reconnect", func() bool { return fake.noted("flush") })
	if st := r.CacheStats(); st.Shared.Hits != 42 {
		t.Errorf("%+v", st)
	}
	r.Close()
	if fake.closed != 1 {
		t.Errorf("closed %d times", fake.closed)
	}
}

// TestUnbelievable: the shared level's values are checked like rows.
func TestUnbelievable(t *testing.T) {
	t.Parallel()
	fake := newFake()
	r := open(t, Config{DSN: newDatabase(t), HomeShard: "default", Cache: fake})
	want := create(t, r, "acme")
	good := string(must(encode(&want))(t))
	if got := must(decode("acme", []byte(good)))(t); *got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	bad := []string{
		"", "{", "null", "[]", "\x00", good[:len(good)-1], good + good,
		replace(`"Format":2`, `"Format":1`),
		replace(`"Role":""`, `"Role":"none"`),
		replace(`"Role":"","Login":""`, `"Role":"gt_a","Login":""`),
		replace(`"Role":"","Login":""`, `"Role":"gt_a\"; DROP ROLE b","Login":"gt_b"`),
		replace(`"Schema":"tenant_acme"`, `"Schema":"pg_catalog"`),
		replace(`"Schema":"tenant_acme"`, `"Schema":"public"`),
		replace(`"Schema":"tenant_acme"`, `"Schema":"a\"; DROP SCHEMA b"`),
		replace(`"ID":"acme"`, `"ID":"globex"`),
		replace(`"State":"active"`, `"State":"root"`),
		replace(`"Shard":"default"`, `"Shard":""`),
		replace(`"ID"`, `"Extra":1,"ID"`),
	}
	for i, value := range bad {
		before := r.CacheStats().Unreadable
		// The news of Create may come late, and takes the value away.
		eventually(t, fmt.Sprintf("value %d is counted", i), func() bool {
			fake.Put("t:acme", "", []byte(value))
			r.cache.flush()
			if got := must(r.Lookup(t.Context(), "acme"))(t); got != want {
				t.Errorf("%s: %+v", value, got)
			}
			return r.CacheStats().Unreadable > before
		})
	}
}

// TestFormat: who changes tenant.Tenant counts format up, and enters the new
// shape here. Otherwise a process of the version before gives the new one
// values without the new field.
func TestFormat(t *testing.T) {
	t.Parallel()
	const shape = "2: {ID Schema State Tier {Shard Region Epoch} Role Login Version Migrating Attributes DeleteAfter CreatedAt UpdatedAt}"
	if got := fmt.Sprintf("%d: %s", format, shapeOf(reflect.TypeFor[tenant.Tenant]())); got != shape {
		t.Errorf("the shape is\n%s, was\n%s", got, shape)
	}
	if !json.Valid(must(encode(&tenant.Tenant{}))(t)) {
		t.Error("not JSON")
	}
}

func shapeOf(s reflect.Type) string {
	var names []string
	for f := range s.NumField() {
		f := s.Field(f)
		name := f.Name
		if f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == s.PkgPath() {
			name = shapeOf(f.Type)
		}
		names = append(names, name)
	}
	return "{" + strings.Join(names, " ") + "}"
}

// TestNamespace: one control plane has one name whatever way leads there, and
// no other has it.
func TestNamespace(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	seen := map[string]string{}
	for what, cfg := range map[string]Config{
		"one":            {DSN: dsn},
		"another schema": {DSN: dsn, Schema: "other"},
		"another":        {DSN: newDatabase(t)},
	} {
		fake, again := newFake(), newFake()
		cfg.Cache = fake
		open(t, cfg)
		cfg.DSN += "&application_name=x"
		if !strings.Contains(dsn, "?") {
			t.Fatal("DSN without settings")
		}
		cfg.Cache = again
		open(t, cfg)
		if fake.cfg.Namespace != again.cfg.Namespace {
			t.Errorf("%s: %s, then %s", what, fake.cfg.Namespace, again.cfg.Namespace)
		}
		if other, ok := seen[fake.cfg.Namespace]; ok {
			t.Errorf("%s has the name of %s", what, other)
		}
		seen[fake.cfg.Namespace] = what
	}
}

package resolver

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// One round of the janitor closes what idles for too long in every pool.
func TestTheJanitorsRound(t *testing.T) {
	t.Parallel()
	r, _ := newTestRouter(t, &changing{def: tenant.Shard{Name: "s1", Primary: "p"}})
	s, err := r.shard(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.primary.Acquire(t.Context(), pool.Claim{Owner: "a"})
	if err != nil {
		t.Fatal(err)
	}
	c.Release()
	r.runOnce(time.Now().Add(pool.DefaultMaxIdle - time.Second))
	if got := r.Stats(); len(got) != 1 || got[0].Open != 1 {
		t.Fatalf("%+v", got)
	}
	r.runOnce(time.Now().Add(pool.DefaultMaxIdle + time.Second))
	if got := r.Stats(); got[0].Open != 0 || got[0].RetiredIdle != 1 {
		t.Fatalf("%+v", got)
	}
}

func TestTheJanitorsPace(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[time.Duration]Config{
		maxCare:         {},
		time.Second:     {LeakAfter: 5 * time.Second, MaxIdle: time.Minute},
		2 * time.Second: {MaxIdle: 10 * time.Second},
		minCare:         {MaxAge: time.Millisecond, MaxIdle: -1},
	} {
		if got := (&Router{cfg: cfg}).pace(); got != want {
			t.Errorf("%+v: every %s, want %s", cfg, got, want)
		}
	}
}

// Databases of one server share its bound; how the DSN is written does not matter.
func TestServersOfDSNs(t *testing.T) {
	t.Parallel()
	one := serverOf("postgres://u:p@db1:5433/a")
	if one != "db1:5433" || serverOf("host=db1 port=5433 dbname=b") != one || serverOf("postgres://db2:5433/a") == one {
		t.Errorf("the server is %q", one)
	}
	if got := serverOf("postgres://u:secret@h:port/"); got != "" {
		t.Errorf("an unreadable DSN's server is %q", got)
	}
}

// A replica whose breaker is open hands its reads to the primary.
func TestAnOpenBreakerIsTheReplicasFault(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("read: %w", &pool.DownError{Shard: "s1", Node: "replica-0", Err: errors.New("any")})
	if !replicaFault(err) {
		t.Errorf("%v is not", err)
	}
}

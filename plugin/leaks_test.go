package tenantplugin_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// warnings is a logger's output, written and read by several.
type warnings struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *warnings) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *warnings) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

// next is the file and line that follow the caller's.
func next() string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d", file, line+1)
}

// holds is a way to keep a connection. It returns where it did so, and how to give it
// back.
type holds func(*testing.T, *gorm.DB) (at string, back func() error)

func leaksRows(t *testing.T, db *gorm.DB) (string, func() error) {
	at := next()
	rows, err := db.Model(&User{}).Where("name <> ?", "a secret").Rows()
	if err != nil {
		t.Fatal(err)
	}
	return at, rows.Close
}

func forgetsTransaction(t *testing.T, db *gorm.DB) (string, func() error) {
	at := next()
	tx := db.Begin()
	if tx.Error != nil {
		t.Fatal(tx.Error)
	}
	return at, func() error { return tx.Rollback().Error }
}

func keepsConn(t *testing.T, db *gorm.DB) (string, func() error) {
	handle, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	c, err := handle.Conn(db.Statement.Context)
	if err != nil {
		t.Fatal(err)
	}
	at := next()
	if _, err := c.ExecContext(db.Statement.Context, "select 'a secret'"); err != nil {
		t.Fatal(err)
	}
	return at, c.Close
}

// Rows that nobody closed, a transaction that nobody ended and a connection that nobody
// gave back are named with the line that made them, once; ordinary statements are not.
// No SQL is logged.
func TestLeaksAreNamed(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		for name, hold := range map[string]holds{"rows": leaksRows, "tx": forgetsTransaction, "conn": keepsConn} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var out warnings
				w := newWorld(t, s, tenantplugin.WithLeakDetection(100*time.Millisecond),
					tenantplugin.WithLogger(slog.New(slog.NewTextHandler(&out, nil))))
				for id := range onShard {
					sees(t, w.as(t, id), id)
				}
				at, back := hold(t, w.as(t, "c"))
				var found []resolver.Holder
				eventually(t, "the leak", func() bool {
					found = w.plugin.Leaks()
					return len(found) > 0 && strings.Contains(out.String(), "held=")
				})
				h := found[0]
				if len(found) != 1 || h.Caller != at || h.Owner != "c" || h.Shard != "s2" || h.Node != "primary" || h.InTx != (name == "tx") {
					t.Errorf("found %+v, want %s", found, at)
				}
				if err := back(); err != nil {
					t.Error(err)
				}
				if found := w.plugin.Leaks(); len(found) != 0 {
					t.Errorf("given back, and found: %+v", found)
				}
				text := out.String()
				if strings.Count(text, "held=") != 1 || !strings.Contains(text, "caller="+at) || strings.Contains(text, "secret") {
					t.Errorf("logged %s", text)
				}
			})
		}
	})
}

// Nobody looks unless told to.
func TestLeakDetectionIsOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	_, back := leaksRows(t, w.as(t, "a"))
	if found := w.plugin.Leaks(); found != nil {
		t.Errorf("found %+v", found)
	}
	if err := back(); err != nil {
		t.Error(err)
	}
	if got := tenantplugin.New().Leaks(); got != nil {
		t.Errorf("before Use: %+v", got)
	}
}

// The budget of the options holds over the shards, whatever the pools' own bounds.
func TestConnBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t), tenantplugin.WithConnBudget(3, 2))
	var wg sync.WaitGroup
	for id := range onShard {
		for range 5 {
			wg.Go(func() {
				for range 20 {
					if got, err := first(w.db.WithContext(tenant.NewContext(t.Context(), id))); err != nil || got != string(id) {
						t.Errorf("%s read %q, %v", id, got, err)
					}
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		for _, s := range w.plugin.Stats() {
			// Both shards are on one server.
			if s.BudgetUsed > 2 || s.BudgetTotal != 3 {
				t.Fatalf("%+v", s)
			}
		}
	}
}

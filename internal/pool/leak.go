package pool

import (
	"database/sql/driver"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// depth is how many frames of a holder are kept: GORM with its plugins has up to
// thirty between the application and the driver.
const depth = 64

// holding is what is kept of one holding of a connection while Config.LeakAfter asks
// for it.
type holding struct {
	since    time.Time
	inTx     atomic.Bool
	frames   int
	callers  [depth]uintptr
	reported bool // Pool.mu guards it
}

// capture begins a holding. The caller is the holder.
func (p *Pool) capture(c *Conn) {
	h := &holding{since: time.Now()}
	h.frames = runtime.Callers(4, h.callers[:])
	p.mu.Lock()
	c.held = h
	p.mu.Unlock()
}

// heldTx notes the end of a transaction.
type heldTx struct {
	driver.Tx
	held *holding
}

func (t *heldTx) Commit() error {
	t.held.inTx.Store(false)
	return t.Tx.Commit()
}

func (t *heldTx) Rollback() error {
	t.held.inTx.Store(false)
	return t.Tx.Rollback()
}

// Holder is somebody who has held a connection for long: rows that were not closed, a
// transaction that was not ended, a sql.Conn that was not given back.
type Holder struct {
	Shard, Node, Login string
	Owner              string // the tenant
	Since              time.Time
	InTx               bool   // a transaction of BeginTx is open
	Caller             string // file:line of the application that asked for the connection
	Function           string // that it is in
}

// LogValue implements slog.LogValuer.
func (h Holder) LogValue() slog.Value {
	return slog.GroupValue(slog.String("tenant", h.Owner), slog.String("shard", h.Shard), slog.String("node", h.Node),
		slog.Bool("in_transaction", h.InTx), slog.String("caller", h.Caller), slog.String("function", h.Function))
}

// Leaks returns who has held a connection for longer than Config.LeakAfter.
func (p *Pool) Leaks(now time.Time) []Holder { return p.leaks(now, false) }

// ReportLeaks logs, once for each holding, who has held a connection for longer than
// Config.LeakAfter.
func (p *Pool) ReportLeaks(now time.Time) {
	for _, h := range p.leaks(now, true) {
		p.cfg.Logger.Warn("a connection is held for long: close the rows, end the transaction or close the sql.Conn",
			"tenant", h.Owner, "shard", h.Shard, "node", h.Node, "held", now.Sub(h.Since).Round(time.Millisecond),
			"in_transaction", h.InTx, "caller", h.Caller, "function", h.Function)
	}
}

// leaks returns the holders, or those that were not reported yet.
func (p *Pool) leaks(now time.Time, report bool) (out []Holder) {
	if p.cfg.LeakAfter <= 0 {
		return nil
	}
	var held []*holding
	p.mu.Lock()
	for _, c := range p.busy {
		h := c.held
		if h == nil || now.Sub(h.since) <= p.cfg.LeakAfter || report && h.reported {
			continue
		}
		if report {
			h.reported = true
			p.stats.leaks++
		}
		held = append(held, h)
		out = append(out, Holder{
			Shard: p.cfg.Shard, Node: p.cfg.Node, Login: p.cfg.Login, Owner: c.owner,
			Since: h.since, InTx: h.inTx.Load(),
		})
	}
	p.mu.Unlock()
	for i, h := range held {
		out[i].Caller, out[i].Function = caller(h.callers[:h.frames])
	}
	return out
}

// caller names the first frame that is the application's, else the last one.
func caller(pcs []uintptr) (place, function string) {
	for frames := runtime.CallersFrames(pcs); ; {
		f, more := frames.Next()
		if f.File != "" {
			place, function = fmt.Sprintf("%s:%d", f.File, f.Line), f.Function
		}
		if !more || !beneath(f) {
			return place, function
		}
	}
}

// module is this module's path.
const module = "github.com/gormtenancy/gormtenancy/"

// beneath reports whether a frame is of the layers between an application and its
// connections. This module's tests and examples are applications.
func beneath(f runtime.Frame) bool {
	if own, ok := strings.CutPrefix(f.Function, module); ok {
		return !strings.HasSuffix(f.File, "_test.go") && !strings.HasPrefix(own, "tests/") && !strings.HasPrefix(own, "examples/")
	}
	for _, prefix := range []string{"gorm.io/", "database/sql.", "database/sql/", "runtime.", "github.com/jackc/pgx/"} {
		if strings.HasPrefix(f.Function, prefix) {
			return true
		}
	}
	return false
}

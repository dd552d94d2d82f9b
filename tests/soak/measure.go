package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tests/fleetlab"
)

// sample is what there was at one time.
type sample struct {
	heap       int64 // bytes in use after a collection
	goroutines int
	entries    int   // tenants that the registry remembers
	conns      int   // open connections
	backends   int64 // bytes that the servers' processes have for themselves
}

func mega(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// measure looks at the process. Finalizers run between two collections.
func measure(app *fleetlab.App) (s sample) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.heap, s.goroutines = int64(m.HeapAlloc), runtime.NumGoroutine()
	s.entries = app.Registry.CacheStats().Entries
	for _, p := range app.Pools() {
		s.conns += p.Open
	}
	return s
}

// backends adds up what the server processes of client connections have for
// themselves. Where the kernel does not tell, it is 0.
func backends(ctx context.Context, dsns []string) (sum int64, err error) {
	for _, dsn := range dsns {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return 0, err
		}
		rows, err := conn.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
		var pids []int
		if err == nil {
			pids, err = pgx.CollectRows(rows, pgx.RowTo[int])
		}
		if err = errors.Join(err, conn.Close(ctx)); err != nil {
			return 0, err
		}
		for _, pid := range pids {
			n, err := private(pid)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}

// private returns a process's private memory, 0 if it has ended.
func private(pid int) (sum int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, nil // it has ended, or this is no Linux
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || !strings.HasPrefix(fields[0], "Private_") {
			continue
		}
		kilo, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
		}
		sum += kilo << 10
	}
	return sum, lines.Err()
}

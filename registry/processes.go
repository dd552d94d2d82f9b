package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

// Process is one that serves tenants.
type Process struct {
	ID            string // of its choice, unlike any other's
	Host          string
	PID           int
	Started, Seen time.Time
	Pools         []pool.Stats
}

// ReportProcess says that a process serves, and with what pools. It is to be said again
// and again: one that was not heard of for an hour is forgotten. Findings of processes
// that are gone are closed on the way, and those that were closed more than 30 days ago
// forgotten. The error wraps tenant.ErrUnavailable.
func (r *Registry) ReportProcess(ctx context.Context, p Process) error {
	pools, err := json.Marshal(p.Pools)
	if err != nil {
		return fmt.Errorf("report the process: %w", err)
	}
	b := &pgx.Batch{}
	b.Queue(r.sql.report, p.ID, p.Host, p.PID, p.Started, json.RawMessage(pools))
	b.Queue(r.sql.trimProcesses)
	b.Queue(r.sql.closeLost)
	b.Queue(r.sql.trimFindings, (30 * 24 * time.Hour).Seconds())
	if err := r.questions.SendBatch(ctx, b).Close(); err != nil {
		return failed(ctx, "report the process", err)
	}
	return nil
}

// LeaveProcess says that a process ends.
func (r *Registry) LeaveProcess(ctx context.Context, id string) error {
	if _, err := r.questions.Exec(ctx, r.sql.leave, id); err != nil {
		return failed(ctx, "take the process out", err)
	}
	return nil
}

// Processes returns those that were heard of within the last hour.
func (r *Registry) Processes(ctx context.Context) ([]Process, error) {
	rows, err := r.questions.Query(ctx, r.sql.processes)
	if err != nil {
		return nil, failed(ctx, "list the processes", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Process, err error) {
		err = row.Scan(&p.ID, &p.Host, &p.PID, &p.Started, &p.Seen, &p.Pools)
		p.Started, p.Seen = p.Started.UTC(), p.Seen.UTC()
		return p, err
	})
	if err != nil {
		return nil, failed(ctx, "list the processes", err)
	}
	return all, nil
}

// printable drops what PostgreSQL does not store in a text.
func printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}

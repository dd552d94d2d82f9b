package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Archive is what is known of a tenant's export.
type Archive struct {
	File          string    `json:"file"`           // its name, without the directory
	Size          int64     `json:"size"`           // in bytes
	SHA256        string    `json:"sha256"`         // of the file, in hexadecimal
	ServerVersion string    `json:"server_version"` // of the server that it came from
	At            time.Time `json:"at"`             // when the snapshot was taken
	// Tables are what was in each of the schema's own tables then.
	Tables map[string]TableSum `json:"tables"`
}

// TableSum tells the contents of a table, in whatever order they are.
type TableSum struct {
	Rows int64  `json:"rows"`
	Sum  string `json:"sum"` // of the rows' 64-bit hashes
}

// phase is how far an archiving or a restoring has come.
type phase string

const (
	phaseExporting phase = "exporting" // suspended; nothing is gone
	phaseExported  phase = "exported"  // archived; the export is whole, the schema is to go
	phaseDropped   phase = "dropped"   // archived, no schema
	phaseRestoring phase = "restoring" // archived; there may be half a schema
	phaseDeleting  phase = "deleting"  // archived, for ever
)

// note is the column archive. Whoever takes an archiving or a restoring up gives it
// a run of its own, after which whoever had it before changes nothing any more.
type note struct {
	Phase phase        `json:"phase"`
	Run   string       `json:"run"`
	Was   tenant.State `json:"was"`
	Half  bool         `json:"half"` // of phaseDeleting: it was phaseRestoring before
	Archive
}

// restorable reports whether the export is whole.
func (n *note) restorable() bool {
	return n != nil && (n.Phase == phaseExported || n.Phase == phaseDropped || n.Phase == phaseRestoring)
}

// readNote returns what is noted of a tenant, nil if nothing is.
func (r *Registry) readNote(ctx context.Context, on interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, id tenant.ID,
) (*note, error) {
	var text *string
	err := on.QueryRow(ctx, r.sql.archive, id).Scan(&text)
	switch {
	case errors.Is(err, pgx.ErrNoRows) || err == nil && text == nil:
		return nil, nil
	case err != nil:
		return nil, failed(ctx, "read its archive", err)
	}
	n := &note{}
	if err := json.Unmarshal([]byte(*text), n); err != nil {
		return nil, fmt.Errorf("read its archive: %w", err)
	}
	return n, nil
}

// noted returns a tenant's row and note, under its lock.
func (r *Registry) noted(ctx context.Context, l *tenantLock, id tenant.ID) (*record, *note, error) {
	rec, err := one(l.Query(ctx, r.sql.get, id))
	switch {
	case err != nil:
		return nil, nil, failed(ctx, "read its row", err)
	case rec == nil:
		return nil, nil, unknown(id)
	}
	n, err := r.readNote(ctx, l, id)
	return rec, n, err
}

// setPhase notes how far run has come.
func (r *Registry) setPhase(ctx context.Context, on sender, id tenant.ID, run string, p phase) error {
	rec, err := alter(ctx, on, r.sql.setPhase, id, run, p)
	switch {
	case err != nil:
		return failed(ctx, "note that it is "+string(p), err)
	case rec == nil:
		return fmt.Errorf("another process went on with it: %w", ErrState)
	}
	return nil
}

// Archived returns what is known of an archived tenant's export, for Restore. The
// error wraps ErrNoArchive, also where a Delete has left the tenant archived,
// tenant.ErrInvalidID, tenant.ErrUnknown or tenant.ErrUnavailable.
func (r *Registry) Archived(ctx context.Context, id tenant.ID) (Archive, error) {
	t, err := r.Get(ctx, id)
	if err != nil {
		return Archive{}, err
	}
	n, err := r.readNote(ctx, r.questions, id)
	if err != nil {
		return Archive{}, err
	}
	if t.State != tenant.StateArchived || !n.restorable() {
		return Archive{}, fmt.Errorf("tenant %s is %s: %w", id, t.State, ErrNoArchive)
	}
	return n.Archive, nil
}

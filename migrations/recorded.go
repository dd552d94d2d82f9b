package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/gormtenancy/gormtenancy/internal/structure"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Record executes what takes a tenant's schema to a version, in a transaction that is
// rolled back, and returns the statements. The search path is the tenant's, and ctx
// names the tenant.
type Record func(ctx context.Context, tx *sql.Tx) (statements []string, err error)

// recorded is what a set without files knows. What was recorded in one schema is played
// in all that have the same structure.
type recorded struct {
	record Record

	mu      sync.Mutex        // guards scripts, and is held while one is recorded
	scripts map[string]script // by the structure's fingerprint
}

// NewRecorded returns a Set of one version, which takes tenants there from whatever
// lower version they have, or from none. There are no files that say how: record finds
// out, once for all tenants whose schemas are alike. There is no way down.
func NewRecorded(version int64, source string, record Record) (*Set, error) {
	if version < 1 || record == nil {
		return nil, errors.New("a recorded set needs a version above 0 and a function")
	}
	s := &Set{recorded: &recorded{record: record, scripts: map[string]script{}}}
	s.all = []*migration{{version: version, source: source, up: script{tx: true}}}
	s.sum = sha256.Sum256(fmt.Appendf(nil, "%d %q", version, source))
	return s, nil
}

// recordedStep returns st with the statements that take a schema like t's there. Where
// files say what a step does, it is st itself.
func (b *batchRun) recordedStep(t tenant.Tenant, st *step) (*step, error) {
	rec := b.set.recorded
	if rec == nil {
		return st, nil
	}
	s, err := b.recall(t)
	if err != nil {
		return nil, fmt.Errorf("%s: find out what it takes: %w", st.parts[0].source, err)
	}
	mine := *st
	mine.parts = []part{{st.parts[0].migration, s}}
	return &mine, nil
}

// recall returns what was recorded for a schema like t's, or records it.
func (b *batchRun) recall(t tenant.Tenant) (script, error) {
	rec := b.set.recorded
	like, err := b.structure(t)
	if err != nil {
		return script{}, err
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if s, ok := rec.scripts[like]; ok {
		return s, nil
	}
	s, err := b.record(t)
	if err == nil {
		rec.scripts[like] = s
	}
	return s, err
}

func (b *batchRun) structure(t tenant.Tenant) (fingerprint string, err error) {
	conn, err := b.pool.Acquire(b.caller)
	if err != nil {
		return "", fmt.Errorf("connect to shard %s: %w", b.name, err)
	}
	defer conn.Release()
	read, err := structure.One(b.caller, conn.Conn(), t.Schema)
	if err != nil {
		return "", err
	}
	return read.Structure.Fingerprint(), nil
}

// record plays the set's function in t's schema, and takes it back.
func (b *batchRun) record(t tenant.Tenant) (s script, err error) {
	db, err := b.database(t, true)
	if err != nil {
		return s, err
	}
	defer db.Close()
	ctx := b.as(t)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return s, err
	}
	defer tx.Rollback() //nolint:errcheck // closing the connection does the same
	s = script{tx: true}
	if s.statements, err = b.set.recorded.record(ctx, tx); err != nil {
		return s, err
	}
	return s, s.check()
}

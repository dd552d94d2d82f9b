package migrations

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// ScratchPrefix begins the names of schemas in which migrations are tried. They are
// dropped at once, unless their process is killed.
const ScratchPrefix = "gormtenancy_plan_"

// scratchComment begins the comment on one; the time follows.
const scratchComment = "gormtenancy scratch "

// ErrGoMigration says that a version is made by Go code, which only a run can run.
var ErrGoMigration = errors.New("a Go migration cannot be tried")

// ScratchSince reads from the comment on a scratch schema when it was made, by the
// clock of the process that made it.
func ScratchSince(comment string) (time.Time, bool) {
	text, ours := strings.CutPrefix(comment, scratchComment)
	at, err := time.Parse(time.RFC3339, text)
	return at, ours && err == nil
}

// scratch is a schema of its own on a shard, at some version.
type scratch struct {
	conn   *pgx.Conn
	schema string
	path   []string // schemas behind it
}

// openScratch makes one. config is changed.
func openScratch(ctx context.Context, config *pgx.ConnConfig, path []string) (*scratch, error) {
	h := &scratch{schema: ScratchPrefix + strings.ToLower(rand.Text()), path: path}
	config.RuntimeParams["search_path"] = place{schema: h.schema, path: path}.searchPath()
	var err error
	if h.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, err
	}
	name := tenant.QuoteIdent(h.schema)
	err = h.exec(ctx, fmt.Sprintf("CREATE SCHEMA %s; COMMENT ON SCHEMA %s IS '%s%s'", name, name, scratchComment, time.Now().UTC().Format(time.RFC3339)))
	if err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	return h, nil
}

func (h *scratch) exec(ctx context.Context, text string) error {
	_, err := h.conn.PgConn().Exec(ctx, text).ReadAll()
	return err
}

// close drops the schema, on another connection if a cancelled statement took the
// first one with it.
func (h *scratch) close(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	if h.conn.IsClosed() {
		if h.conn, err = pgx.ConnectConfig(ctx, h.conn.Config()); err != nil {
			return fmt.Errorf("drop schema %s, which is left: %w", h.schema, err)
		}
	}
	err = h.exec(ctx, "ROLLBACK; DROP SCHEMA IF EXISTS "+tenant.QuoteIdent(h.schema)+" CASCADE")
	return errors.Join(err, h.conn.Close(ctx))
}

// Sample makes a schema of its own on a server, brings it from nothing to a version,
// calls fn with its name, and drops it, whatever happens but the death of the process.
// The schemas of path stand behind it in the search path. config is changed. The error
// wraps ErrVersion, ErrGoMigration, what the server or fn said.
func (s *Set) Sample(ctx context.Context, config *pgx.ConnConfig, version int64, path []string, fn func(schema string) error) (err error) {
	if !s.has(version) {
		return fmt.Errorf("sample version %d: %w", version, ErrVersion)
	}
	steps, err := s.route(0, version)
	if err != nil {
		return fmt.Errorf("sample version %d: %w", version, err)
	}
	h, err := openScratch(ctx, config, path)
	if err != nil {
		return fmt.Errorf("sample version %d: %w", version, err)
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	for _, p := range partsOf(steps) {
		if p.goFunc != nil {
			return fmt.Errorf("sample version %d: %s: %w", version, p.source, ErrGoMigration)
		}
		for _, text := range p.statements {
			if err := h.exec(ctx, text); err != nil {
				return fmt.Errorf("sample version %d: %s: %w", version, p.source, err)
			}
		}
	}
	return fn(h.schema)
}

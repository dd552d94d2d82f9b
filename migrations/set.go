package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/pressly/goose/v3"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// ErrNoMigrations says that a folder has no goose file.
var ErrNoMigrations = errors.New("no migrations: want files like 00001_name.sql in the folder itself")

// ErrVersion says that the set has no way from a tenant's version to the one wanted.
var ErrVersion = errors.New("no such version among the migrations")

// Set is the migrations of a tenant's schema that one application has, read and
// checked. It is never changed, and safe for concurrent use.
type Set struct {
	fsys  fs.FS
	all   []*migration // by version
	steps sync.Map     // route -> []*step, made when first needed
	// fill takes an empty schema to the latest version; empty if that takes more
	// than one transaction.
	fill string
	sum  [sha256.Size]byte
	// recorded is nil where files say what a version does.
	recorded *recorded
}

// migration is one version.
type migration struct {
	version  int64
	source   string
	goFunc   *goose.Migration // nil for SQL
	up, down script
}

// script is what one direction of a migration executes.
type script struct {
	statements []string
	tx         bool
	session    bool // may leave something on the session
}

// Load reads the goose files of a folder (fs.Sub gives one of an embed.FS), "-- +goose"
// annotations and all, and takes Go migrations made by goose.NewGoMigration; goose's
// global registry is not looked at. They name tables without a schema: each tenant's
// is the search path when they run. Go migrations find the tenant in their context
// (tenant.FromContext).
//
// A file is refused whose statements begin or end transactions, or leave the
// tenant's scope (tenant.ErrForbidden), and one that needs "-- +goose NO
// TRANSACTION" and does not say so.
func Load(fsys fs.FS, goMigrations ...*goose.Migration) (*Set, error) {
	tape := &tape{}
	db := tape.open()
	defer db.Close() //nolint:errcheck // it holds nothing
	own, err := copies(goMigrations)
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectCustom, db, fsys, goose.WithStore(tapeStore{tape}),
		goose.WithGoMigrations(own...), goose.WithDisableGlobalRegistry(true))
	switch {
	case errors.Is(err, goose.ErrNoMigrations):
		return nil, ErrNoMigrations
	case err != nil:
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	s := &Set{fsys: fsys}
	for _, source := range provider.ListSources() {
		m := &migration{version: source.Version, source: source.Path}
		if source.Type == goose.TypeGo {
			m.takeGo(own)
		} else if err := m.record(context.Background(), provider, tape); err != nil {
			return nil, fmt.Errorf("migration %s: %w", source.Path, err)
		}
		s.all = append(s.all, m)
	}
	s.summarize()
	return s, nil
}

// summarize writes down what a new tenant gets, and its checksum. Of a Go migration
// only the version is known.
func (s *Set) summarize() {
	sum, whole := sha256.New(), true
	var b strings.Builder
	p := place{}
	p.create(&b)
	for _, m := range s.all {
		fmt.Fprintf(sum, "%d %t %q\n", m.version, m.up.tx, m.up.statements)
		p.enter(&b, false, m.version)
		play(&b, m.up.statements)
		whole = whole && m.goFunc == nil && m.up.tx
	}
	sum.Sum(s.sum[:0])
	if whole {
		s.fill = b.String()
	}
}

// copies keeps goose from writing to what other providers read.
func copies(all []*goose.Migration) ([]*goose.Migration, error) {
	own := make([]*goose.Migration, len(all))
	for i, m := range all {
		if m == nil {
			return nil, errors.New("a Go migration is nil: make it with goose.NewGoMigration")
		}
		c := *m
		own[i] = &c
	}
	return own, nil
}

func (m *migration) takeGo(all []*goose.Migration) {
	i := slices.IndexFunc(all, func(g *goose.Migration) bool { return g.Version == m.version })
	m.goFunc = all[i]
	m.up.tx = m.goFunc.UpFnNoTxContext == nil
	m.down.tx = m.goFunc.DownFnNoTxContext == nil
	if m.source == "" {
		m.source = fmt.Sprintf("Go migration %d", m.version)
	}
}

func (m *migration) record(ctx context.Context, provider *goose.Provider, tape *tape) error {
	for _, up := range []bool{true, false} {
		tape.statements, tape.tx, tape.applied = nil, false, !up
		if _, err := provider.ApplyVersion(ctx, m.version, up); err != nil {
			return err
		}
		s := script{statements: tape.statements, tx: tape.tx || len(tape.statements) == 0}
		if err := s.check(); err != nil {
			return err
		}
		if up {
			m.up = s
		} else {
			m.down = s
		}
	}
	return nil
}

// check refuses what would break the promises of a run.
func (s *script) check() error {
	for i, text := range s.statements {
		facts := sqltext.Classify(text)
		switch {
		case facts.BeginsTransaction(), facts.EndsTransaction():
			return fmt.Errorf("statement %d begins or ends a transaction: leave that to the run: %w", i+1, tenant.ErrForbidden)
		case facts.Escape() != "":
			return fmt.Errorf("statement %d: %s: %w", i+1, facts.Escape(), tenant.ErrForbidden)
		case facts.NeedsNoTransaction() && s.tx:
			return fmt.Errorf(`statement %d cannot run in a transaction: put "-- +goose NO TRANSACTION" at the head of the file`, i+1)
		}
		s.session = s.session || facts.SessionState()
	}
	return nil
}

// Checksum identifies what the files do.
func (s *Set) Checksum() string { return fmt.Sprintf("%x", s.sum[:12]) }

// Script returns SQL that takes an empty schema to the latest version, goose's own
// table included, in one message and one transaction; the search path says which
// schema. ok is false if a file says NO TRANSACTION, or is Go: then only Up does.
func (s *Set) Script() (sql string, ok bool) { return s.fill, s.fill != "" }

// Apply takes the schema in which db's statements run under ctx to the latest
// version, as goose does: file by file. It takes up where an earlier run stopped.
func (s *Set) Apply(ctx context.Context, db *sql.DB) error {
	var own []*goose.Migration
	for _, m := range s.all {
		if m.goFunc != nil {
			own = append(own, m.goFunc)
		}
	}
	own, err := copies(own)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, s.fsys, goose.WithGoMigrations(own...), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Versions returns the versions, ascending.
func (s *Set) Versions() []int64 {
	versions := make([]int64, len(s.all))
	for i, m := range s.all {
		versions[i] = m.version
	}
	return versions
}

// Latest returns the highest version.
func (s *Set) Latest() int64 { return s.all[len(s.all)-1].version }

// Up returns the versions that a tenant at version from lacks, ascending.
func (s *Set) Up(from int64) []int64 {
	all := s.Versions()
	return all[s.upTo(from):]
}

// upTo returns how many versions are at most v.
func (s *Set) upTo(v int64) int {
	i, found := slices.BinarySearchFunc(s.all, v, func(m *migration, v int64) int {
		return int(min(1, max(-1, m.version-v)))
	})
	if found {
		i++
	}
	return i
}

// has reports whether v is a version, or 0: that of an empty schema.
func (s *Set) has(v int64) bool { return v == 0 || slices.Contains(s.Versions(), v) }

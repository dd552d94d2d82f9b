package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// ErrNoMigrations says that a folder has no goose file.
var ErrNoMigrations = errors.New("no migrations: want files like 00001_name.sql in the folder itself")

// Set is an application's migrations of a tenant's schema: goose's SQL files. It is
// never changed.
type Set struct {
	fsys   fs.FS
	latest int64
	// script takes an empty schema to the latest version; empty if that takes
	// more than one transaction.
	script string
	sum    [sha256.Size]byte
}

// Load reads the goose files of a folder (fs.Sub gives one of an embed.FS). They
// name tables without a schema: each tenant's is the search path when they run. A
// file with an error is the error here already.
func Load(fsys fs.FS) (*Set, error) {
	db, rec := recorded()
	defer db.Close() //nolint:errcheck // it holds nothing
	store, err := database.NewStore(database.DialectPostgres, goose.DefaultTablename)
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(goose.DialectCustom, db, fsys, goose.WithStore(&memoryStore{Store: store}), goose.WithDisableGlobalRegistry(true))
	switch {
	case errors.Is(err, goose.ErrNoMigrations):
		return nil, ErrNoMigrations
	case err != nil:
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := p.Up(context.Background()); err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	sources := p.ListSources()
	s := &Set{fsys: fsys, latest: sources[len(sources)-1].Version}
	text := strings.Join(rec.texts, "\n")
	s.sum = sha256.Sum256([]byte(text))
	if !rec.bare {
		s.script = text
	}
	return s, nil
}

// Latest returns the newest version.
func (s *Set) Latest() int64 { return s.latest }

// Checksum identifies what the files do.
func (s *Set) Checksum() string { return fmt.Sprintf("%x", s.sum[:12]) }

// Script returns SQL that takes an empty schema to the latest version, goose's own
// table included, in one message and one transaction; the search path says which
// schema. ok is false if a file says NO TRANSACTION: then only Up does.
func (s *Set) Script() (sql string, ok bool) { return s.script, s.script != "" }

// Up takes the schema in which db's statements run under ctx to the latest version,
// as goose does: file by file. It takes up where an earlier run stopped.
func (s *Set) Up(ctx context.Context, db *sql.DB) error {
	p, err := goose.NewProvider(goose.DialectPostgres, db, s.fsys, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

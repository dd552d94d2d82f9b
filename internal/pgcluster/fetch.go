package pgcluster

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// The version that is fetched.
const (
	fetchVersion = embedded.V15
	fetchMajor   = "15"
)

// fetch gets PostgreSQL's programs through embedded-postgres, once per
// machine and user.
func fetch(ctx context.Context, o FindOptions) (Binaries, error) {
	repository, home := o.Repository, o.Cache
	if repository == "" {
		repository = os.Getenv("GORMTENANCY_PG_REPOSITORY")
	}
	if home == "" {
		var err error
		if home, err = cacheDir(); err != nil {
			return Binaries{}, err
		}
	}
	target := filepath.Join(home, "pg-"+string(fetchVersion))
	if b, err := inspect(ctx, filepath.Join(target, "bin")); err == nil {
		return b, nil
	}
	if err := download(home, target, repository); err != nil {
		return Binaries{}, err
	}
	if err := readable(target); err != nil {
		return Binaries{}, err
	}
	return inspect(ctx, filepath.Join(target, "bin"))
}

// cacheDir returns a directory that the servers' user can read: root's own
// cache is closed to it.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/gormtenancy", nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "gormtenancy"), err
}

// download has embedded-postgres fetch and unpack. It offers no way to stop
// there: it goes on to start a server, which fails as root and is stopped
// otherwise. What counts is whether the programs have arrived.
func download(home, target, repository string) error {
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	run, err := os.MkdirTemp("", tempPrefix+"fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(run)
	port, err := freePort()
	if err != nil {
		return err
	}
	config := embedded.DefaultConfig().Version(fetchVersion).Port(uint32(port)).
		CachePath(filepath.Join(home, "archives")).BinariesPath(target).
		RuntimePath(filepath.Join(run, "runtime")).DataPath(filepath.Join(run, "data")).Logger(io.Discard)
	if repository != "" {
		config = config.BinaryRepositoryURL(repository)
	}
	pg := embedded.NewDatabase(config)
	startErr := pg.Start()
	if startErr == nil {
		startErr = pg.Stop()
	}
	if _, err := os.Stat(filepath.Join(target, "bin", "initdb")); err != nil {
		return fmt.Errorf("fetch PostgreSQL %s: %w", fetchVersion, startErr)
	}
	return nil
}

// readable lets every user run what was unpacked.
func readable(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode() | 0o444
		if d.IsDir() || info.Mode()&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

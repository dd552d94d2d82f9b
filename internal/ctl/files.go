package ctl

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/migrations"
)

// files are the flags that name goose files.
type files struct {
	dir        string
	searchPath []string
}

func (f *files) bind(cmd *cobra.Command, name string) {
	cmd.Flags().StringVar(&f.dir, name, "", "folder with goose files, such as 00001_name.sql")
	cmd.Flags().StringSliceVar(&f.searchPath, "search-path", nil, "schemas that are searched behind the tenant's own, for extensions")
	if err := cmd.MarkFlagDirname(name); err != nil {
		panic(err)
	}
}

func (f *files) load() (*migrations.Set, error) {
	if err := requireDir(f.dir); err != nil {
		return nil, err
	}
	set, err := migrations.Load(os.DirFS(f.dir))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.dir, err)
	}
	return set, nil
}

// mustDir makes a flag required that names a folder.
func mustDir(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err)
	}
	if err := cmd.MarkFlagDirname(flag); err != nil {
		panic(err)
	}
}

// bindPrograms adds the flag of commands that run PostgreSQL's programs.
func (a *app) bindPrograms(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.programs, "programs", "", "folder of pg_dump and pg_restore (default: they are found by PATH)")
	if err := cmd.MarkFlagDirname("programs"); err != nil {
		panic(err)
	}
}

func requireDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", dir)
	}
	if err != nil {
		return usage(err)
	}
	return nil
}

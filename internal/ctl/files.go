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
	info, err := os.Stat(f.dir)
	if err != nil {
		return nil, usage(err)
	}
	if !info.IsDir() {
		return nil, usagef("%s is no folder", f.dir)
	}
	set, err := migrations.Load(os.DirFS(f.dir))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.dir, err)
	}
	return set, nil
}

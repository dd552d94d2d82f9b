package ctl

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is the JSON form of what was built.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // empty where the build did not know
	Go       string `json:"go"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Tell the version of this program",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.run(func(context.Context, []string) error {
			v := thisBuild()
			return a.show(v, func(w io.Writer) { fmt.Fprintln(w, program, v.Version, v.Revision, v.Go) })
		}),
	}
}

func thisBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build{Version: "unknown"}
	}
	v := build{Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}

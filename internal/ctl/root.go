package ctl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
)

const program = "tenantctl"

const rootHelp = `tenantctl works on a gormtenancy control plane: the tenants, the shards that their
schemas live on, and the migrations of those schemas.

It finds the control database in $` + envDSN + ` (or --dsn, but every user of the
machine can read a command line). Where a DSN is wanted, env:NAME stands for the
contents of a variable and file:PATH for those of a file.

Results go to standard output: tables for people, or with "-o json" one JSON document
for programs. Errors and progress go to standard error; with "-o json" an error is
{"error": "...", "code": 3}, the code being the exit code, perhaps with a "hint".

What changes something takes --dry-run: it says what would happen and changes nothing.
What destroys asks first; in scripts, --yes answers. The first Ctrl-C ends a command
in order, a second one at once.

` + exitHelp

const rootExample = `  export ` + envDSN + `=postgres://admin@db.example/control
  tenantctl init --shard main                       # once: the control plane, and a first shard
  tenantctl tenant create acme --migrations ./migrations
  tenantctl tenant list --state suspended
  tenantctl migrate plan --dir ./migrations         # who would run what, and the locks it takes
  tenantctl migrate up --dir ./migrations --canary acme --ring "first=10%"
  tenantctl doctor --migrations ./migrations        # is every schema as it ought to be?
  tenantctl tenant list --all -o json | jq -r '.tenants[].id'
  source <(tenantctl completion bash)`

// root makes the whole tree of commands.
func (a *app) root() *cobra.Command {
	root := a.group(&cobra.Command{
		Use:     program,
		Short:   "Operate gormtenancy: tenants, shards and migrations",
		Long:    rootHelp,
		Example: rootExample,
	}, a.initCommand(), a.tenantCommand(), a.shardCommand(), a.migrateCommand(), a.doctorCommand(),
		a.limitsCommand(), a.poolsCommand(), a.versionCommand())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = thisBuild().Version
	f := root.PersistentFlags()
	f.StringVar(&a.dsn, "dsn", "", "control database (default $"+envDSN+")")
	f.StringVar(&a.schema, "control-schema", registry.DefaultSchema, "schema of the control plane")
	f.StringVarP(&a.output, "output", "o", formatTable, "table or json")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no progress, and no word of what was done")
	f.StringVar(&a.actor, "actor", "", "who is named in the audit (default $"+envActor+", or user@host)")
	f.DurationVar(&a.timeout, "timeout", 0, "end the command after this time, such as 30s (default: never)")
	f.BoolVar(&a.debug, "debug", false, "log what happens in the background to standard error")
	fixed(root, "output", formatTable, formatJSON)
	return root
}

// group makes a command that only has others below it.
func (a *app) group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(below...)
	cmd.Args = cobra.ArbitraryArgs // or cobra itself complains, of the root only
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return unknownCommand(cmd, args[0])
		case cmd.HasParent():
			if a.output == formatTable {
				cmd.SetOut(a.env.Stderr)
				_ = cmd.Help() // it fails as the stream does
			}
			return errors.New("a command is missing")
		}
		return cmd.Help()
	}
	return cmd
}

func unknownCommand(cmd *cobra.Command, name string) error {
	if strings.ContainsAny(name, ":=@/ ") {
		// Perhaps a DSN, whose password is nobody's business.
		return fmt.Errorf("unknown argument of %s: a command is missing", cmd.CommandPath())
	}
	text := fmt.Sprintf("unknown command %q for %s", name, cmd.CommandPath())
	if like := cmd.SuggestionsFor(name); len(like) > 0 {
		text += ": did you mean " + strings.Join(like, " or ") + "?"
	}
	return errors.New(text)
}

// change adds the flag of commands that change something.
func (a *app) change(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "say what would happen, and change nothing")
	return cmd
}

// destroy adds the flags of commands that ask first.
func (a *app) destroy(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return a.change(cmd)
}

package ctl

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// plan is the JSON form of what a run would do.
type plan struct {
	DryRun     bool        `json:"dry_run"`
	Down       bool        `json:"down"`
	Target     int64       `json:"target"`
	Total      int         `json:"total"` // tenants
	Groups     []group     `json:"groups"`
	Migrations []rehearsed `json:"migrations"`
}

// group are tenants of a ring and a shard at the same version.
type group struct {
	Ring     string      `json:"ring"`
	Shard    string      `json:"shard"`
	From     int64       `json:"from"`
	Tenants  int         `json:"tenants"`
	Some     []tenant.ID `json:"some"` // five at most
	Versions []int64     `json:"versions"`
}

// rehearsed is a migration, and what it did in a schema of its own.
type rehearsed struct {
	Version     int64       `json:"version"`
	Source      string      `json:"source"`
	Transaction bool        `json:"transaction"`
	Statements  []statement `json:"statements"`
}

type statement struct {
	Text     string   `json:"text"`
	Locks    []lock   `json:"locks"`
	Rewrites []string `json:"rewrites"`
	Untried  string   `json:"untried"` // why, empty if it was tried
}

type lock struct {
	Table  string `json:"table"`
	Mode   string `json:"mode"`
	Blocks string `json:"blocks"`
}

func (a *app) migratePlan() *cobra.Command {
	var m migration
	cmd := &cobra.Command{
		Use:   "plan --dir DIR",
		Short: "Tell who would run what, and the locks that it takes",
		Long: `Tells what "migrate up" with the same flags (or with --down, "migrate down") would do,
ring by ring. The statements are rehearsed in a schema of their own on a shard, which is
made and dropped for that, so that the locks are those that PostgreSQL takes.`,
		Example: `  tenantctl migrate plan --dir ./migrations --canary acme --ring "first=10%"
  tenantctl migrate plan --dir ./migrations --down --target 3`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = a.on(func(ctx context.Context, r *registry.Registry, _ []string) error {
		if m.Down && !cmd.Flags().Changed("target") {
			return usagef("--down needs a --target: the version to go back to, 0 for none at all")
		}
		set, o, err := m.prepare(ctx, r)
		if err != nil {
			return err
		}
		return a.showPlan(ctx, r, set, o)
	})
	a.bindMigration(cmd, &m)
	cmd.Flags().BoolVar(&m.Down, "down", false, "undo the versions above --target")
	return cmd
}

func (a *app) showPlan(ctx context.Context, r *registry.Registry, set *migrations.Set, o migrations.Options) error {
	p, err := migrations.Preview(ctx, r, set, o)
	if err != nil {
		return err
	}
	v := plan{
		DryRun: true, Down: p.Down, Target: p.Target, Total: p.Tenants(),
		Groups: collect(p.Groups, func(g migrations.Group) group {
			return group{g.Ring, g.Shard, g.From, g.Tenants, g.Some, g.Versions}
		}),
		Migrations: collect(p.Versions, viewRehearsed),
	}
	return a.show(v, func(w io.Writer) { tellPlan(w, v) })
}

func viewRehearsed(m migrations.Rehearsed) rehearsed {
	return rehearsed{m.Version, m.Source, m.Transaction, collect(m.Statements, func(s migrations.Statement) statement {
		locks := collect(s.Locks, func(l migrations.Lock) lock { return lock{l.Table, l.Mode, l.Blocks()} })
		return statement{s.Text, locks, append([]string{}, s.Rewrites...), s.Failed}
	})}
}

func tellPlan(w io.Writer, p plan) {
	if p.Total == 0 {
		fmt.Fprintf(w, "nothing to do: all tenants have version %d\n", p.Target)
		return
	}
	t := rows{{"RING", "SHARD", "FROM", "TENANTS", "VERSIONS", "SUCH AS"}}
	for _, g := range p.Groups {
		some := strings.Join(collect(g.Some, func(id tenant.ID) string { return string(id) }), " ")
		versions := strings.Join(collect(g.Versions, func(v int64) string { return strconv.FormatInt(v, 10) }), " ")
		t.add(g.Ring, g.Shard, g.From, g.Tenants, versions, some)
	}
	t.write(w)
	for _, m := range p.Migrations {
		tellRehearsed(w, m)
	}
	fmt.Fprintf(w, "\n%d tenants would go to version %d\n", p.Total, p.Target)
}

func tellRehearsed(w io.Writer, m rehearsed) {
	note := ""
	if !m.Transaction {
		note = " (not in a transaction)"
	}
	fmt.Fprintf(w, "\nversion %d, %s%s\n", m.Version, cell(m.Source), note)
	if len(m.Statements) == 0 {
		fmt.Fprintln(w, "  nothing that can be rehearsed")
	}
	for _, s := range m.Statements {
		fmt.Fprintf(w, "  %s\n", cell(strings.Join(strings.Fields(s.Text), " ")))
		for _, l := range s.Locks {
			fmt.Fprintf(w, "    %s on %s: %s\n", l.Mode, cell(l.Table), l.Blocks)
		}
		for _, table := range s.Rewrites {
			fmt.Fprintf(w, "    writes %s anew\n", cell(table))
		}
		if s.Untried != "" {
			fmt.Fprintf(w, "    not tried: %s\n", cell(s.Untried))
		}
	}
}

package ctl

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// shardOptions are shard add's own flags.
type shardOptions struct {
	region, primary  string
	replicas         []string
	replace, noCheck bool
}

func (a *app) shardAdd() *cobra.Command {
	var o shardOptions
	cmd := a.change(&cobra.Command{
		Use:   "add NAME --primary DSN",
		Short: "Add a shard, or give one new addresses",
		Long: `Registers a database as a shard. Every process of the application hears of it at once;
no tenant moves. The databases are asked first whether they are what they should be.

A shard of this name takes the new values with --replace, all of them, for instance
after a failover. DSNs are stored in the control plane, passwords and all: a
passfile or a certificate keeps them out of there.`,
		Example: `  tenantctl shard add eu-1 --region eu --primary env:EU1_DSN --replica env:EU1_REPLICA_DSN
  tenantctl shard add eu-1 --region eu --primary file:/run/secrets/eu1 --replace`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: firstArg(a.shards),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			return a.addShard(ctx, r, args[0], o)
		}),
	})
	f := cmd.Flags()
	f.StringVar(&o.region, "region", "", "region, by which new tenants can be placed")
	f.StringVar(&o.primary, "primary", "", "DSN of the primary; env:NAME and file:PATH stand for one")
	f.StringArrayVar(&o.replicas, "replica", nil, "DSN of a replica; may be said again")
	f.BoolVar(&o.replace, "replace", false, "change the shard if it exists")
	f.BoolVar(&o.noCheck, "no-check", false, "do not connect to the databases")
	if err := cmd.MarkFlagRequired("primary"); err != nil {
		panic(err)
	}
	return cmd
}

func (a *app) addShard(ctx context.Context, r *registry.Registry, name string, o shardOptions) error {
	s, err := a.readShard(name, o)
	if err != nil {
		return err
	}
	action, err := shardAction(ctx, r, s, o.replace)
	if err != nil {
		return err
	}
	if err := r.PreviewShard(ctx, s); err != nil {
		return err
	}
	if !o.noCheck {
		if err := checkShard(ctx, s); err != nil {
			return err
		}
	}
	if !a.dryRun {
		if err := r.AddShard(ctx, s); err != nil {
			return err
		}
	}
	return a.changed(change{Action: action, Shard: viewShard(s)}, "shard "+s.Name, "")
}

// readShard returns the shard that the flags describe.
func (a *app) readShard(name string, o shardOptions) (s tenant.Shard, err error) {
	s = tenant.Shard{Name: name, Region: o.region, Replicas: make([]string, len(o.replicas))}
	if s.Primary, err = a.dsnFrom(o.primary); err != nil {
		return s, err
	}
	for i, value := range o.replicas {
		if s.Replicas[i], err = a.dsnFrom(value); err != nil {
			return s, err
		}
	}
	for _, dsn := range append([]string{s.Primary}, s.Replicas...) {
		if _, err := parseDSN("shard "+name, dsn); err != nil {
			return s, err
		}
	}
	if err := s.Validate(); err != nil {
		return s, usage(err)
	}
	return s, nil
}

// shardAction tells what adding s is.
func shardAction(ctx context.Context, r *registry.Registry, s tenant.Shard, replace bool) (string, error) {
	all, err := r.Shards(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(o tenant.Shard) bool { return o.Name == s.Name })
	switch {
	case i < 0:
		return "added", nil
	case all[i].Region == s.Region && all[i].Primary == s.Primary && slices.Equal(all[i].Replicas, s.Replicas):
		return "unchanged", nil
	case !replace:
		return "", fmt.Errorf("shard %s exists, with other values: say --replace to change it: %w", s.Name, errRefused)
	}
	return "replaced", nil
}

// checkShard asks each database whether it is what it should be.
func checkShard(ctx context.Context, s tenant.Shard) error {
	if err := checkNode(ctx, fmt.Sprintf("shard %s: primary", s.Name), s.Primary, false); err != nil {
		return err
	}
	for i, dsn := range s.Replicas {
		if err := checkNode(ctx, fmt.Sprintf("shard %s: replica %d", s.Name, i+1), dsn, true); err != nil {
			return err
		}
	}
	return nil
}

func checkNode(ctx context.Context, what, dsn string, replica bool) error {
	config, err := parseDSN(what, dsn)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("%s does not answer (--no-check registers it all the same): %w", what, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the server ends the session either way
	var recovers bool
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_is_in_recovery()").Scan(&recovers); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if recovers != replica {
		return fmt.Errorf("%s: the server's word is that it is in recovery: %t, want %t (--no-check registers it all the same): %w", what, recovers, replica, errRefused)
	}
	return nil
}

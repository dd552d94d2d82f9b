package ctl

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	// completeTimeout bounds how long somebody who pressed Tab waits.
	completeTimeout = 2 * time.Second
	// completeLimit is how many tenants are proposed.
	completeLimit = 50
)

// proposals answers a shell that wants to complete a word.
type proposals = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// firstArg completes the first argument only.
func firstArg(p proposals) proposals {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p(cmd, args, word)
	}
}

// fixed completes a flag with one of a few words.
func fixed(cmd *cobra.Command, flag string, words ...string) {
	complete(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// complete completes a flag.
func complete(cmd *cobra.Command, flag string, p proposals) {
	if err := cmd.RegisterFlagCompletionFunc(flag, p); err != nil {
		panic(err) // there is no such flag, or it has one
	}
}

// tenants proposes IDs that begin with the word.
func (a *app) tenants(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	return a.tenantsLike(registry.Filter{})(cmd, args, word)
}

// tenantsLike proposes those of tenants that a filter selects.
func (a *app) tenantsLike(f registry.Filter) proposals {
	return func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		f.Prefix, f.Limit = word, completeLimit
		return a.propose(cmd.Context(), func(ctx context.Context, r *registry.Registry) ([]string, error) {
			page, err := r.List(ctx, f)
			return collect(page, func(t tenant.Tenant) string { return string(t.ID) }), err
		})
	}
}

// shards proposes shards.
func (a *app) shards(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.propose(cmd.Context(), func(ctx context.Context, r *registry.Registry) ([]string, error) {
		all, err := r.Shards(ctx)
		return collect(all, func(s tenant.Shard) string { return s.Name }), err
	})
}

// propose asks the registry. A shell shows no error, only fewer proposals.
func (a *app) propose(ctx context.Context, ask func(context.Context, *registry.Registry) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	a.debug = false
	r, err := a.open(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer r.Close()
	words, err := ask(ctx, r)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// collect returns what fn makes of each element.
func collect[S, T any](all []S, fn func(S) T) []T {
	made := make([]T, len(all))
	for i, v := range all {
		made[i] = fn(v)
	}
	return made
}

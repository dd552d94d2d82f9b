package ctl

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// eventList is the JSON form of a page of the audit.
type eventList struct {
	Events []eventView `json:"events"`
	// Next is what --after takes for the next page, null on the last.
	Next *int64 `json:"next"`
}

// eventView is the JSON form of an event.
type eventView struct {
	ID     int64           `json:"id"`
	At     time.Time       `json:"at"`
	Tenant tenant.ID       `json:"tenant"` // empty where a shard was changed
	Object string          `json:"object"` // tenant, name or shard
	Action string          `json:"action"` // insert, update or delete
	Actor  string          `json:"actor"`
	DBUser string          `json:"db_user"`
	Before json.RawMessage `json:"before"` // null before an insert
	After  json.RawMessage `json:"after"`
}

func viewEvent(e registry.Event) eventView {
	return eventView{e.ID, e.At.UTC(), e.Tenant, e.Object, e.Action, e.Actor, e.DBUser, e.Before, e.After}
}

// eventOptions are tenant events' own flags.
type eventOptions struct {
	registry.EventFilter
	since string
}

func (a *app) tenantEvents() *cobra.Command {
	var o eventOptions
	cmd := &cobra.Command{
		Use:   "events [ID]",
		Short: "Show who changed what, and when",
		Long: `Shows the audit, the oldest change first: of one tenant, under the ID that it had then,
or of all. What was before and what is after are JSON.`,
		Example: `  tenantctl tenant events acme
  tenantctl tenant events --since 24h --object shard -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			return a.listEvents(ctx, r, args, o)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.Object, "object", "", "only changes of a tenant, a name, a shard, limits, the lane or a quarantine")
	f.StringVar(&o.since, "since", "", "only from this time on, such as 2026-01-31T08:00:00Z, or for so long, such as 24h")
	f.Int64Var(&o.After, "after", 0, "begin behind the event of this number")
	f.IntVar(&o.Limit, "limit", registry.DefaultLimit, "events on a page")
	fixed(cmd, "object", "tenant", "name", "shard", "tier_limit", "tenant_limit", "lane", "quarantine")
	return cmd
}

// parse fills in the filter.
func (o *eventOptions) parse(args []string) error {
	if len(args) > 0 {
		id, err := tenant.ParseID(args[0])
		if err != nil {
			return err
		}
		o.Tenant = id
	}
	if o.Limit < 1 || o.Limit > registry.MaxLimit {
		return usagef("--limit %d: want 1 to %d", o.Limit, registry.MaxLimit)
	}
	if o.since == "" {
		return nil
	}
	if d, err := time.ParseDuration(o.since); err == nil {
		o.Since = time.Now().Add(-d)
		return nil
	}
	at, err := time.Parse(time.RFC3339, o.since)
	if err != nil {
		return usagef("--since %.40q: want a time such as 2026-01-31T08:00:00Z, or a duration such as 24h", o.since)
	}
	o.Since = at
	return nil
}

func (a *app) listEvents(ctx context.Context, r *registry.Registry, args []string, o eventOptions) error {
	if err := o.parse(args); err != nil {
		return err
	}
	page, err := r.Events(ctx, o.EventFilter)
	if err != nil {
		return err
	}
	list := eventList{Events: collect(page, viewEvent)}
	if len(page) == o.Limit {
		o.After, o.Limit = page[len(page)-1].ID, 1
		next, err := r.Events(ctx, o.EventFilter)
		if err != nil {
			return err
		}
		if len(next) > 0 {
			list.Next = &o.After
		}
	}
	if err := a.show(list, func(w io.Writer) { tellEvents(w, page) }); err != nil {
		return err
	}
	if list.Next != nil {
		a.hint("more with --after %d", *list.Next)
	}
	return nil
}

func tellEvents(w io.Writer, page []registry.Event) {
	t := rows{{"ID", "AT", "ACTOR", "OBJECT", "TENANT", "ACTION", "BEFORE", "AFTER"}}
	for _, e := range page {
		t.add(e.ID, e.At, e.Actor, e.Object, e.Tenant, e.Action, string(e.Before), string(e.After))
	}
	t.write(w)
}

package ctl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/registry"
)

// silentAfter is how long a process may say nothing before it is told of as silent.
const silentAfter = time.Minute

// poolReport is the JSON form of all pools.
type poolReport struct {
	Processes []processView `json:"processes"`
	Nodes     []poolView    `json:"nodes"` // the sums of the processes that are not silent
}

// processView is the JSON form of a process.
type processView struct {
	ID        string     `json:"id"`
	Host      string     `json:"host"`
	PID       int        `json:"pid"`
	StartedAt *time.Time `json:"started_at"`
	SeenAt    *time.Time `json:"seen_at"`
	Silent    bool       `json:"silent"`
	Pools     []poolView `json:"pools"`
}

// poolView is the JSON form of the pools of one node, those of all logins together.
type poolView struct {
	Shard             string           `json:"shard"`
	Node              string           `json:"node"`
	Open              int              `json:"open"`
	Idle              int              `json:"idle"`
	InUse             int              `json:"in_use"`
	Max               int              `json:"max"`
	Waiting           int              `json:"waiting"`
	WaitingTenants    int              `json:"waiting_tenants"`
	Waits             int64            `json:"waits"`
	WaitSeconds       float64          `json:"wait_seconds"`
	OldestConnSeconds float64          `json:"oldest_connection_seconds"`
	OldestIdleSeconds float64          `json:"oldest_idle_seconds"`
	MostTenants       int              `json:"most_tenants"` // that one connection has served
	Leaks             int64            `json:"leaks"`
	Breaker           string           `json:"breaker"` // closed, open or half-open
	Retired           map[string]int64 `json:"retired"` // by reason
}

// add adds a pool of the same node.
func (v *poolView) add(s pool.Stats) {
	v.Open, v.Idle, v.InUse, v.Max = v.Open+s.Open, v.Idle+s.Idle, v.InUse+s.InUse(), v.Max+s.MaxConns
	v.Waiting, v.WaitingTenants, v.Waits = v.Waiting+s.Waiting, v.WaitingTenants+s.WaitingOwners, v.Waits+s.Waits
	v.WaitSeconds += s.WaitTime.Seconds()
	v.OldestConnSeconds = max(v.OldestConnSeconds, s.OldestConn.Seconds())
	v.OldestIdleSeconds = max(v.OldestIdleSeconds, s.OldestIdle.Seconds())
	v.MostTenants, v.Leaks = max(v.MostTenants, s.MostTenants), v.Leaks+s.Leaks
	if v.Breaker == "" || s.Breaker != "closed" {
		v.Breaker = s.Breaker
	}
	for reason, n := range s.Retired() {
		v.Retired[reason] += n
	}
}

// viewPools adds pools up by node.
func viewPools(all []pool.Stats) []poolView {
	views := []poolView{}
	for _, s := range all {
		i := slices.IndexFunc(views, func(v poolView) bool { return v.Shard == s.Shard && v.Node == s.Node })
		if i < 0 {
			i = len(views)
			views = append(views, poolView{Shard: s.Shard, Node: s.Node, Retired: map[string]int64{}})
		}
		views[i].add(s)
	}
	slices.SortFunc(views, func(a, b poolView) int { return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Node, b.Node)) })
	return views
}

func (a *app) poolsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pools",
		Short: "Show the connection pools of every process",
		Long: `Shows the connections that each process has to each node, as it said last (package
warden, every 10 s), and their sums: who waits, how old they are, how many tenants one of
them has served, why connections were closed, and which nodes are given up (breaker).`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, _ []string) error {
			processes, err := r.Processes(ctx)
			if err != nil {
				return err
			}
			report := reportPools(processes, time.Now())
			return a.show(report, report.tell)
		}),
	}
}

func reportPools(processes []registry.Process, now time.Time) poolReport {
	report := poolReport{Processes: []processView{}}
	var all []pool.Stats
	for _, p := range processes {
		v := processView{
			ID: p.ID, Host: p.Host, PID: p.PID, StartedAt: moment(p.Started), SeenAt: moment(p.Seen),
			Silent: now.Sub(p.Seen) > silentAfter, Pools: viewPools(p.Pools),
		}
		report.Processes = append(report.Processes, v)
		if !v.Silent {
			all = append(all, p.Pools...)
		}
	}
	report.Nodes = viewPools(all)
	return report
}

func (p poolReport) tell(w io.Writer) {
	t := rows{{"PROCESS", "SHARD", "NODE", "OPEN", "IN USE", "MAX", "WAITING", "OLDEST", "TENANTS", "BREAKER"}}
	row := func(who string, v poolView) {
		oldest := time.Duration(v.OldestConnSeconds * float64(time.Second)).Round(time.Second)
		t.add(who, v.Shard, v.Node, v.Open, v.InUse, v.Max, v.Waiting, oldest.String(), v.MostTenants, v.Breaker)
	}
	for _, process := range p.Processes {
		who := fmt.Sprintf("%s/%d", process.Host, process.PID)
		if process.Silent {
			who += " (silent)"
		}
		for _, v := range process.Pools {
			row(who, v)
		}
	}
	for _, v := range p.Nodes {
		row("all", v)
	}
	t.write(w)
}

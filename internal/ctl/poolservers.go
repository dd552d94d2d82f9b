package ctl

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	// serverTimeout bounds how long one server may take to answer.
	serverTimeout = 15 * time.Second
	// serversAtOnce is how many are asked at the same time.
	serversAtOnce = 16
)

// serverView is the JSON form of what a node's server says of its sessions.
type serverView struct {
	Shard          string        `json:"shard"`
	Node           string        `json:"node"`
	Connections    int           `json:"connections"` // of all databases, without the command's own
	MaxConnections int           `json:"max_connections"`
	Reserved       int           `json:"reserved_connections"` // of these, for superusers and the like
	Sessions       []sessionView `json:"sessions"`
	Error          string        `json:"error,omitempty"` // why it did not answer
}

// sessionView is the JSON form of the sessions of one application and user.
type sessionView struct {
	Application string `json:"application"`
	User        string `json:"user"`
	Connections int    `json:"connections"`
}

// limitsSQL asks for what a server has room for. Only PostgreSQL 16 and later knows
// reserved_connections.
const limitsSQL = `SELECT pg_catalog.current_setting('max_connections')::int, pg_catalog.current_setting('superuser_reserved_connections')::int
	+ coalesce(pg_catalog.current_setting('reserved_connections', true)::int, 0)`

// sessionsSQL counts clients. Who may not see others' sessions does not see their
// backend_type either.
const sessionsSQL = `SELECT coalesce(application_name, ''), coalesce(usename::text, ''), count(*)::int
	FROM pg_catalog.pg_stat_activity
	WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
	GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2`

// askServers asks all nodes of all shards. One that does not answer has an Error.
func askServers(ctx context.Context, r *registry.Registry) ([]serverView, error) {
	shards, err := r.Shards(ctx)
	if err != nil {
		return nil, err
	}
	views, dsns := nodesOf(shards)
	var g errgroup.Group
	g.SetLimit(serversAtOnce)
	for i := range views {
		g.Go(func() error {
			if err := views[i].ask(ctx, dsns[i]); err != nil {
				views[i].Error = strings.TrimSpace(err.Error())
			}
			return ctx.Err()
		})
	}
	return views, g.Wait()
}

// nodesOf returns the nodes under the names that the pools have.
func nodesOf(shards []tenant.Shard) (views []serverView, dsns []string) {
	views = []serverView{}
	for _, s := range shards {
		for i, dsn := range append([]string{s.Primary}, s.Replicas...) {
			node := "primary"
			if i > 0 {
				node = fmt.Sprintf("replica-%d", i-1)
			}
			views, dsns = append(views, serverView{Shard: s.Name, Node: node, Sessions: []sessionView{}}), append(dsns, dsn)
		}
	}
	return views, dsns
}

func (v *serverView) ask(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	config, err := parseDSN("shard "+v.Shard+": "+v.Node, dsn)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the server ends the session either way
	if err := conn.QueryRow(ctx, limitsSQL).Scan(&v.MaxConnections, &v.Reserved); err != nil {
		return fmt.Errorf("ask for its settings: %w", err)
	}
	rows, err := conn.Query(ctx, sessionsSQL)
	if err != nil {
		return fmt.Errorf("count its sessions: %w", err)
	}
	if v.Sessions, err = pgx.CollectRows(rows, pgx.RowToStructByPos[sessionView]); err != nil {
		return fmt.Errorf("count its sessions: %w", err)
	}
	for _, s := range v.Sessions {
		v.Connections += s.Connections
	}
	return nil
}

func tellServers(w io.Writer, servers []serverView) {
	t := rows{{"SHARD", "NODE", "APPLICATION", "USER", "CONNECTIONS", "MAX"}}
	for _, v := range servers {
		if v.Error != "" {
			t.add(v.Shard, v.Node, oneLine(v.Error))
			continue
		}
		for _, s := range v.Sessions {
			t.add(v.Shard, v.Node, s.Application, s.User, s.Connections, "")
		}
		t.add(v.Shard, v.Node, "all", "all", v.Connections, fmt.Sprintf("%d, %d reserved", v.MaxConnections, v.Reserved))
	}
	t.write(w)
}

// silentServers returns an error if some did not answer.
func silentServers(servers []serverView) error {
	silent := 0
	for _, v := range servers {
		if v.Error != "" {
			silent++
		}
	}
	if silent > 0 {
		return fmt.Errorf("%d of %d servers did not answer: %w", silent, len(servers), errPartly)
	}
	return nil
}

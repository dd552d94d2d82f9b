package ctl

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestPoolServers: each node is asked for its sessions, and one that does not answer
// hides no other.
func TestPoolServers(t *testing.T) {
	t.Parallel()
	l := newFleet(t)
	dead := "postgres://app:" + password + "@127.0.0.1:1/app"
	l.env["DEAD"], l.env["SHARD_DSN"] = dead, newDatabase(t)
	config, err := pgx.ParseConfig(l.dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["application_name"] = t.Name()
	for range 2 {
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
	}
	servers := document[poolReport](t, l.do(codeDone, "pools", "--server", "-o", "json")).Servers
	if len(servers) != 1 {
		t.Fatalf("%+v", servers)
	}
	v := servers[0]
	mine := slices.IndexFunc(v.Sessions, func(s sessionView) bool { return s.Application == t.Name() })
	if mine < 0 || v.Sessions[mine].Connections != 2 || v.Sessions[mine].User != config.User {
		t.Errorf("%+v", v.Sessions)
	}
	if v.Shard != "main" || v.Node != "primary" || v.Connections < 2 || v.MaxConnections <= v.Reserved || v.Reserved <= 0 || v.Error != "" {
		t.Errorf("%+v", v)
	}

	l.do(codeDone, "shard", "add", "other", "--primary", "env:SHARD_DSN", "--replica", "env:DEAD", "--no-check")
	r := l.do(codePartly, "pools", "--server", "-o", "json")
	requireDocuments(t, "pools --server", r)
	servers = document[poolReport](t, r).Servers
	if len(servers) != 3 || servers[1].Error != "" || servers[2].Node != "replica-0" || servers[2].Error == "" {
		t.Errorf("%+v", servers)
	}
	r = l.do(codePartly, "pools", "--server")
	if !strings.Contains(r.out, t.Name()) || !strings.Contains(r.out, "reserved") || !strings.Contains(r.err, "1 of 3 servers") {
		t.Errorf("%s%s", r.out, r.err)
	}
	if again := document[poolReport](t, l.do(codeDone, "pools", "-o", "json")); again.Servers != nil {
		t.Errorf("unasked: %+v", again.Servers)
	}
}

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
	// A role that may not see what others' sessions do counts them all the same.
	l.env["DEAD"], l.env["SHARD_DSN"] = dead, newDatabase(t)+"&options=-c%20role%3Dpg_signal_backend"
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
	mine := sessionView{t.Name(), config.User, 2}
	if !slices.Contains(v.Sessions, mine) {
		t.Errorf("%+v", v.Sessions)
	}
	if v.Shard != "main" || v.Node != "primary" || v.Connections < 2 || v.MaxConnections <= v.Reserved || v.Reserved <= 0 || v.Error != "" {
		t.Errorf("%+v", v)
	}

	l.do(codeDone, "shard", "add", "other", "--primary", "env:SHARD_DSN", "--replica", "env:DEAD", "--no-check")
	r := l.do(codePartly, "pools", "--server", "-o", "json")
	requireDocuments(t, "pools --server", r)
	servers = document[poolReport](t, r).Servers
	if len(servers) != 3 || !slices.Contains(servers[1].Sessions, mine) || servers[1].Error != "" || servers[2].Node != "replica-0" || servers[2].Error == "" {
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

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// The statements that stand before the read, by name. None takes part in how
// GORM or the plugin work: this measures the server alone.
var parts = []struct {
	name     string
	sql      string // prepared; empty: nothing stands before the read
	param    bool   // $1 is the path
	setsPath bool
}{
	{name: "nothing"},
	{name: "select 1", sql: "select 1"},
	{name: "the scope", sql: "select pg_catalog.set_config('search_path', $1, true)", param: true, setsPath: true},
	{name: "the fence", sql: fence, param: true, setsPath: true},
	{name: "the scope as a literal", sql: `select pg_catalog.set_config('search_path', '` + partsPath + `', true)`, setsPath: true},
	{name: "SET LOCAL", sql: "set local search_path to " + partsPath, setsPath: true},
}

const (
	fence = "select pg_catalog.set_config('search_path', case when pg_catalog.pg_my_temp_schema() operator(pg_catalog.=) 0" +
		" and (pg_catalog.current_setting('search_path') operator(pg_catalog.=) ''" +
		` or pg_catalog.current_setting('search_path') operator(pg_catalog.=) '""') then $1 else '"' end, true)`
	partsPath   = `"bench_plain", pg_temp`
	partsRead   = `SELECT * FROM "bench_items" WHERE "bench_items"."id" = $1 ORDER BY "bench_items"."id" LIMIT 1`
	partsRounds = 400
	partsCalls  = 50
)

// printParts prints what the server takes for a read in one packet with each of
// the parts, and for the parts themselves.
func (b *bench) printParts(ctx context.Context, out io.Writer) error {
	dsn, err := b.server.database(ctx, "parts")
	if err != nil {
		return err
	}
	if _, err := makeTables(ctx, dsn, 1); err != nil {
		return err
	}
	front, closeConn, err := prepareParts(ctx, dsn)
	if err != nil {
		return err
	}
	defer closeConn()
	times := make([][]float64, len(parts))
	for round := range partsRounds {
		for i := range parts {
			at := (i + round) % len(parts)
			us, err := timed(partsCalls, func(int) error { return partsCall(front, at) })
			if err != nil {
				return err
			}
			times[at] = append(times[at], us)
		}
	}
	for i, p := range parts {
		fmt.Fprintf(out, "%-24s in front of a read: %.1f us, added %.1f us\n", p.name, median(times[i]), median(times[i])-median(times[0]))
	}
	return nil
}

// prepareParts connects and prepares every part, and the read for each: one
// that finds its table without a path, one that needs it.
func prepareParts(ctx context.Context, dsn string) (*pgproto3.Frontend, func(), error) {
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return nil, nil, fmt.Errorf("reach the server: %w", err)
	}
	do := func(sql string) {
		if err == nil {
			_, err = conn.Exec(ctx, sql).ReadAll()
		}
	}
	prepare := func(name, sql string) {
		if err == nil {
			_, err = conn.Prepare(ctx, name, sql, nil)
		}
	}
	do("set search_path to " + partsPath + "; set client_min_messages to error; set log_min_messages to error")
	prepare("found", partsRead)
	for i, p := range parts {
		if p.sql != "" {
			prepare(fmt.Sprint("part", i), p.sql)
		}
	}
	do("set search_path to ''")
	prepare("qualified", `SELECT * FROM bench_plain."bench_items" WHERE "bench_items"."id" = $1 ORDER BY "bench_items"."id" LIMIT 1`)
	if err != nil {
		_ = conn.Close(ctx) // it is given up
		return nil, nil, fmt.Errorf("prepare the parts: %w", err)
	}
	h, err := conn.Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take the connection: %w", err)
	}
	return h.Frontend, func() { h.Conn.Close() }, nil
}

// partsCall sends one packet and reads its answers.
func partsCall(f *pgproto3.Frontend, at int) error {
	p, read := parts[at], "qualified"
	if p.sql != "" {
		bind := &pgproto3.Bind{PreparedStatement: fmt.Sprint("part", at)}
		if p.param {
			bind.Parameters = [][]byte{[]byte(partsPath)}
		}
		f.Send(bind)
		f.Send(&pgproto3.Execute{})
	}
	if p.setsPath {
		read = "found"
	}
	f.Send(&pgproto3.Bind{PreparedStatement: read, Parameters: [][]byte{[]byte("7")}})
	f.Send(&pgproto3.Describe{ObjectType: 'P'})
	f.Send(&pgproto3.Execute{})
	f.Send(&pgproto3.Sync{})
	if err := f.Flush(); err != nil {
		return err
	}
	for {
		switch m, err := f.Receive(); m := m.(type) {
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return nil
		default:
			if err != nil {
				return err
			}
		}
	}
}

// printProcessor prints the processor time of one call in the closed loop,
// also for plain GORM with every table's schema written out: that is what
// schemas cost without any scope. It counts every PostgreSQL on the machine: let
// no other work meanwhile.
func (b *bench) printProcessor(ctx context.Context, out io.Writer) error {
	dsn, err := b.server.database(ctx, "processor")
	if err != nil {
		return err
	}
	specs, err := makeTables(ctx, dsn, loopTenants)
	if err != nil {
		return err
	}
	l, err := newLab(ctx, dsn, loopConns, specs, b.install)
	if err != nil {
		return err
	}
	defer l.stop()
	for _, of := range []struct {
		name string
		way  int
	}{
		{"plain GORM, one schema", plainWay},
		{"plain GORM, qualified", qualifiedWay},
		{"ours", oursWay},
		{"SET per call", setWay},
	} {
		if _, err := loop(l.way(of.way), b.effort.loopWarm); err != nil {
			return err
		}
		before, begin := processorTimes(), time.Now()
		rate, err := loop(l.way(of.way), 5*time.Second)
		if err != nil {
			return err
		}
		used, calls := processorTimes(), rate*time.Since(begin).Seconds()
		fmt.Fprintf(out, "%-22s %6.0f calls/s, processor time per call: client %.1f us, server %.1f us\n", of.name, rate,
			(used.client-before.client).Seconds()*1e6/calls, (used.server-before.server).Seconds()*1e6/calls)
	}
	return nil
}

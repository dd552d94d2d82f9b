package wirecount_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tests/wirecount"
)

// best returns the shortest of n round trips: the machine may be busy, and
// noise only adds.
func best(t *testing.T, conn *pgx.Conn, n int) time.Duration {
	t.Helper()
	shortest := time.Hour
	for range n {
		begin := time.Now()
		exec(t, conn, "select 1")
		shortest = min(shortest, time.Since(begin))
	}
	return shortest
}

func TestLatencyIsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	_, direct := through(t, wirecount.Options{})
	base := best(t, direct, 300)
	for _, latency := range []time.Duration{time.Millisecond, 5 * time.Millisecond} {
		_, slow := through(t, wirecount.Options{Latency: latency})
		got := best(t, slow, 100)
		if got < latency || got > base+latency+latency/4 {
			t.Errorf("latency %v: a round trip took %v, without it %v", latency, got, base)
		}
	}
}

// A large answer crosses as a stream: it is late by the latency once, not by
// the latency per packet.
func TestLatencyKeepsOrderAndThroughput(t *testing.T) {
	t.Parallel()
	const rows = 20_000
	_, conn := through(t, wirecount.Options{Latency: 20 * time.Millisecond})
	begin := time.Now()
	res, err := conn.Query(t.Context(), "select i, repeat('x', 500) from generate_series(1, 20000) i", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	next := 1
	var i int
	var filler string
	if _, err := pgx.ForEachRow(res, []any{&i, &filler}, func() error {
		if i != next {
			t.Fatalf("row %d came where %d was due", i, next)
		}
		next++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if next != rows+1 {
		t.Errorf("%d rows came, want %d", next-1, rows)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("10 MB took %v: the latency was paid per packet", took)
	}
}

func TestCountsAreTheSameWithLatency(t *testing.T) {
	t.Parallel()
	p, conn := through(t, wirecount.Options{Latency: time.Millisecond})
	if got := tripsOf(t, p, func() { exec(t, conn, "select $1::int4", 1) }); got != 2 {
		t.Errorf("%d round trips, want 2", got)
	}
}

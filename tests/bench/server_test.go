package main

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// A change in the real server shows who answers.
func TestReplayAnswersFromItsRecord(t *testing.T) {
	t.Parallel()
	dsn, err := testServer(t).database(t.Context(), "replay")
	if err != nil {
		t.Fatal(err)
	}
	tape, dsn, err := startReplay(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer tape.close()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	read := func(arg string) (n int) {
		if err := conn.QueryRow(t.Context(), "select count(*) from a where x <> $1", arg).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if _, err := conn.Exec(t.Context(), "create table a as select 'one' as x"); err != nil {
		t.Fatal(err)
	}
	read("")
	recorded := read("")
	tape.play()
	if _, err := conn.Exec(t.Context(), "insert into a values ('two')"); err != nil {
		t.Fatal(err)
	}
	if again := read(""); recorded != 1 || again != 1 {
		t.Errorf("read %d, then %d, want the recorded 1", recorded, again)
	}
	if other := read("none"); other != 2 || tape.share() != 1.0/3 {
		t.Errorf("read %d with %.2f of the requests on record, want 2 from the server and a third", other, tape.share())
	}
}

// The measurements run, with plain GORM in the plugin's place.
func TestMeasurements(t *testing.T) {
	t.Parallel()
	b := &bench{server: testServer(t), effort: effort{slowRounds: 2, fastRounds: 2, replayRounds: 40, loopRounds: 1, loop: 1}}
	slow, err := b.latency(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r := slow[0]; r.Plain < 1000 || r.Set < 3*1000 || slow[1].Plain < 3*1000 {
		t.Errorf("at 1 ms: %+v, want 1, 3 and 3 round trips at least", slow)
	}
	process, err := b.process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if allocs := process[1]; allocs.Plain < 10 || allocs.Figure < -1 || allocs.Figure > 1 {
		t.Errorf("plain GORM against itself: %+v, want the same allocations", allocs)
	}
}

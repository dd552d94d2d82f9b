package wirecount_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tests/wirecount"
)

func through(t *testing.T, o wirecount.Options) (*wirecount.Proxy, *pgx.Conn) {
	t.Helper()
	p, dsn, err := wirecount.Through(t.Context(), pgtest.Any(t).Database(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, connect(t, dsn)
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func tripsOf(t *testing.T, p *wirecount.Proxy, do func()) int {
	t.Helper()
	before := p.Count()
	do()
	return p.Count().Sub(before).RoundTrips
}

func TestStartIsCountedApart(t *testing.T) {
	t.Parallel()
	p, _ := through(t, wirecount.Options{})
	c := p.Count()
	if c.Connections != 1 || c.RoundTrips != 0 || c.StartupRoundTrips == 0 || c.Statements != 0 {
		t.Errorf("after connecting: %+v", c)
	}
}

// A password costs a round trip more, of the start; and it is nobody's
// business.
func TestPasswordExchangeBelongsToTheStart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() { served <- admitWithPassword(l) }()
	p, err := wirecount.Start(t.Context(), l.Addr().String(), wirecount.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	connect(t, "postgres://user:geheim@"+p.Addr()+"/db?sslmode=disable")
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if c := p.Count(); c.StartupRoundTrips != 2 || c.RoundTrips != 0 {
		t.Errorf("%+v, want two round trips, both of the start", c)
	}
	if log := fmt.Sprint(p.Messages()); strings.Contains(log, "geheim") {
		t.Errorf("the password is in the log: %s", log)
	}
}

// admitWithPassword is a server that asks for a password in the clear, and
// takes any.
func admitWithPassword(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	b := pgproto3.NewBackend(c, c)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return err
	}
	b.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := b.Flush(); err != nil {
		return err
	}
	if err := b.SetAuthType(pgproto3.AuthTypeCleartextPassword); err != nil {
		return err
	}
	if _, err := b.Receive(); err != nil {
		return err
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return b.Flush()
}

func TestRoundTripsOfOneConnection(t *testing.T) {
	t.Parallel()
	p, conn := through(t, wirecount.Options{})
	batch := &pgx.Batch{}
	for range 5 {
		batch.Queue("select 1")
	}
	for name, c := range map[string]struct {
		want int
		do   func()
	}{
		"simple query":                   {1, func() { exec(t, conn, "select 1") }},
		"two statements in one query":    {1, func() { exec(t, conn, "select 1; select 2") }},
		"prepare, then bind and execute": {2, func() { exec(t, conn, "select $1::int4", 1) }},
		"a batch: one prepare, one run":  {2, func() { batched(t, conn, batch) }},
		"an answer of many packets":      {1, func() { exec(t, conn, "select repeat('x', 1000) from generate_series(1, 2000)") }},
		"unnamed, described, executed":   {2, func() { exec(t, conn, "select $1::int4", pgx.QueryExecModeDescribeExec, 1) }},
		"transaction of one statement": {3, func() {
			exec(t, conn, "begin")
			exec(t, conn, "select 1")
			exec(t, conn, "commit")
		}},
	} {
		if got := tripsOf(t, p, c.do); got != c.want {
			t.Errorf("%s: %d round trips, want %d", name, got, c.want)
		}
	}
}

func batched(t *testing.T, conn *pgx.Conn, b *pgx.Batch) {
	t.Helper()
	if err := conn.SendBatch(t.Context(), b).Close(); err != nil {
		t.Fatal(err)
	}
}

// A pipeline's groups each end in a ReadyForQuery; sent together they cost one
// round trip.
func TestPipelinedGroupsAreOneRoundTrip(t *testing.T) {
	t.Parallel()
	p, conn := through(t, wirecount.Options{})
	before := p.Count()
	pipeline := conn.PgConn().StartPipeline(t.Context())
	for range 3 {
		pipeline.SendQueryParams("select 1", nil, nil, nil, nil)
		pipeline.SendPipelineSync() // Sync would also flush, and the server answer between two groups
	}
	if err := errors.Join(pipeline.Flush(), pipeline.Close()); err != nil {
		t.Fatal(err)
	}
	d := p.Count().Sub(before)
	if d.Backend['Z'] != 3 || d.RoundTrips != 1 || d.Statements != 3 {
		t.Errorf("%d ReadyForQuery, %d statements in %d round trips, want 3, 3 and 1", d.Backend['Z'], d.Statements, d.RoundTrips)
	}
}

func TestMessagesAndTheirTexts(t *testing.T) {
	t.Parallel()
	p, conn := through(t, wirecount.Options{})
	exec(t, conn, "select 'first'")
	exec(t, conn, "select $1::text", "secret argument")
	exec(t, conn, "select $1::text", "again")
	p.Reset()
	exec(t, conn, "select $1::text", "after the reset")
	exec(t, conn, "select 'last'")
	want := []wirecount.Message{
		{Conn: 1, Type: 'B', SQL: "select $1::text"},
		{Conn: 1, Type: 'E'},
		{Conn: 1, Type: 'S'},
		{Conn: 1, Type: 'Q', SQL: "select 'last'"},
	}
	if got := p.Messages(); !reflect.DeepEqual(got, want) {
		t.Errorf("messages %+v, want %+v", got, want)
	}
	if got := p.Statements(); !reflect.DeepEqual(got, []string{"select $1::text", "select 'last'"}) {
		t.Errorf("statements %q", got)
	}
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{3: 3, -1: 0, 0: 5} {
		p, conn := through(t, wirecount.Options{LogLimit: limit})
		for range 5 {
			exec(t, conn, "select 1")
		}
		if got := len(p.Messages()); got != want {
			t.Errorf("limit %d: %d messages logged, want %d", limit, got, want)
		}
	}
}

func TestLongTextsAreCutAndTheStreamIsNot(t *testing.T) {
	t.Parallel()
	p, conn := through(t, wirecount.Options{})
	long := strings.Repeat("x", 300_000)
	var n int
	p.Reset()
	if err := conn.QueryRow(t.Context(), "select length('"+long+"')", pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil || n != len(long) {
		t.Fatalf("length %d, error %v", n, err)
	}
	if got := len(p.Statements()[0]); got != 64<<10 {
		t.Errorf("kept %d bytes of the text, want 64 KiB", got)
	}
	if c := p.Count(); c.BytesToServer < int64(len(long)) || c.RoundTrips != 1 {
		t.Errorf("%d bytes in %d round trips", c.BytesToServer, c.RoundTrips)
	}
}

func TestEncryptionIsRefused(t *testing.T) {
	t.Parallel()
	p, dsn, err := wirecount.Through(t.Context(), pgtest.Any(t).Database(t), wirecount.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if _, err := pgx.Connect(t.Context(), withSSL(dsn, "require")); err == nil || !strings.Contains(err.Error(), "refused TLS") {
		t.Errorf("sslmode=require: error %v, want a refusal", err)
	}
	exec(t, connect(t, withSSL(dsn, "prefer")), "select 1")
}

func withSSL(dsn, mode string) string {
	cut := strings.NewReplacer("sslmode=disable", "sslmode="+mode)
	return cut.Replace(dsn)
}

func TestCancelRequest(t *testing.T) {
	t.Parallel()
	p, conn := through(t, wirecount.Options{})
	_, watch := through(t, wirecount.Options{})
	failed := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "select pg_sleep(60)")
		failed <- err
	}()
	// PostgreSQL forgets a cancel request that comes before its statement.
	waitFor(t, func() bool { return backend(t, watch, conn.PgConn().PID(), "wait_event = 'PgSleep'") })
	if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	var pgErr *pgconn.PgError
	if err := <-failed; !errors.As(err, &pgErr) || pgErr.Code != "57014" {
		t.Errorf("error %v, want query_canceled", err)
	}
	if c := p.Count(); c.Cancels != 1 || c.Connections != 1 || c.RoundTrips != 1 {
		t.Errorf("%+v, want one cancel, one connection, one round trip", c)
	}
}

func waitFor(t *testing.T, met func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !met() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("did not happen within 10 s")
		}
	}
}

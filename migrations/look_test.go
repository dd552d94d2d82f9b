package migrations

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
)

// TestPrelude: temporary objects are looked for, and discarded once there are some; a
// connection that has none pays no second message.
func TestPrelude(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		conn, err := pgx.Connect(t.Context(), s.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background()) //nolint:errcheck // nothing is pending
		send := func(text string) error {
			_, err := conn.PgConn().Exec(t.Context(), text).ReadAll()
			return err
		}
		prelude := func(p place) error {
			var b strings.Builder
			p.prelude(&b)
			return send(b.String() + "SELECT FROM x.there")
		}
		if err := send("CREATE SCHEMA x; CREATE TABLE x.there ()"); err != nil {
			t.Fatal(err)
		}
		p := place{schema: "x"}
		if err := prelude(p); err != nil {
			t.Errorf("without temporary objects: %v", err)
		}
		if err := send("CREATE TEMP TABLE scrap ()"); err != nil {
			t.Fatal(err)
		}
		if err := p.unexpected(nil, prelude(p)); err != errLookAgain || !p.discard {
			t.Errorf("with temporary objects: %v", err)
		}
		if err := prelude(p); err != nil || send("SELECT FROM pg_temp.scrap") == nil {
			t.Errorf("discarding: %v", err)
		}
	})
}

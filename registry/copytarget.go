package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
)

// withoutSession takes out of pg_dump's text what is about the session and the schema
// itself, which are there, and what is meant for psql.
func withoutSession(text string) string {
	tokens := slices.Collect(sqltext.Tokens(text))
	var b strings.Builder
	kept, begins := 0, true
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if begins && t.Is(`\`) {
			b.WriteString(text[kept:t.Start])
			kept = len(text)
			if n := strings.IndexByte(text[t.Start:], '\n'); n >= 0 {
				kept = t.Start + n
			}
			for i+1 < len(tokens) && tokens[i+1].Start < kept {
				i++
			}
			continue
		}
		if begins && ofSession(tokens[i:]) {
			b.WriteString(text[kept:t.Start])
			for i < len(tokens)-1 && !tokens[i].Is(";") {
				i++
			}
			kept = tokens[i].End
			continue
		}
		begins = t.Is(";")
	}
	return b.String() + text[kept:]
}

// ofSession reports whether a statement begins that withoutSession takes out.
func ofSession(tokens []sqltext.Token) bool {
	words := func(all ...string) bool {
		if len(tokens) < len(all) {
			return false
		}
		for i, w := range all {
			if !tokens[i].Word(w) && !tokens[i].Is(w) {
				return false
			}
		}
		return true
	}
	return words("set") || words("select", "pg_catalog", ".", "set_config") || words("create", "schema") || words("comment", "on", "schema") || words("alter", "schema")
}

// stream copies the rows of a table, as they are in the snapshot.
func (c *copying) stream(ctx context.Context, t copyTable) error {
	columns, format := "", "binary"
	if t.columns != "" {
		columns = "(" + t.columns + ")"
	}
	if t.text {
		format = "text"
	}
	read, write := io.Pipe()
	var sent, got pgconn.CommandTag
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		sent, err = c.from.PgConn().CopyTo(ctx, write, fmt.Sprintf("COPY %s %s TO STDOUT (FORMAT %s)", qualified(c.source.Schema, t.name), columns, format))
		write.CloseWithError(err) //nolint:errcheck // it returns none
		return err
	})
	g.Go(func() (err error) {
		got, err = c.to.PgConn().CopyFrom(ctx, read, fmt.Sprintf("COPY %s %s FROM STDIN (FORMAT %s)", qualified(c.target.Schema, t.name), columns, format))
		read.CloseWithError(errors.Join(err, io.ErrClosedPipe)) //nolint:errcheck // it returns none
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if sent.RowsAffected() != got.RowsAffected() {
		return fmt.Errorf("%d rows arrived of %d", got.RowsAffected(), sent.RowsAffected())
	}
	return nil
}

// position sets the sequences to where they are.
func (c *copying) position(ctx context.Context) error {
	for _, name := range c.sequences {
		var last int64
		var called bool
		if err := c.from.QueryRow(ctx, "SELECT last_value, is_called FROM "+qualified(c.source.Schema, name)).Scan(&last, &called); err != nil {
			return fmt.Errorf("sequence %s: %w", name, err)
		}
		if _, err := c.to.Exec(ctx, "SELECT pg_catalog.setval($1::text::regclass, $2, $3)", qualified(c.target.Schema, name), last, called); err != nil {
			return fmt.Errorf("sequence %s: %w", name, err)
		}
	}
	return nil
}

// refresh fills the materialized views that are filled at the source, in the order in
// which they were made: one may read another.
func (c *copying) refresh(ctx context.Context) error {
	views, err := collect[string](ctx, c.from, "SELECT c.relname"+relations+"AND c.relkind = 'm' AND c.relispopulated ORDER BY c.oid", c.oid)
	if err != nil {
		return err
	}
	for _, name := range views {
		if _, err := c.to.Exec(ctx, "REFRESH MATERIALIZED VIEW "+qualified(c.target.Schema, name)); err != nil {
			return fmt.Errorf("materialized view %s: %w", name, err)
		}
	}
	return nil
}

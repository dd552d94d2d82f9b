package pgscope

import (
	"errors"
	"fmt"
	"testing"
)

// An enum of the same name is another type in each tenant's schema. One
// prepared statement for both would be refused to the second: in a transaction
// there is no second try.
func TestTypesOfTenants(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		a := tenants(t, dsn, 2)
		for i := range 2 {
			if _, err := a.Exec(fmt.Sprintf(`create type t%[1]d.mood as enum ('happy', 'of t%[1]d');
				create table t%[1]d.moods (id int primary key, mood t%[1]d.mood, all_moods t%[1]d.mood[]);
				insert into t%[1]d.moods values (1, 'of t%[1]d', '{happy}')`, i)); err != nil {
				t.Fatal(err)
			}
		}
		for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
			db := open(t, withMode(dsn, mode), 1)
			for i := range 2 * (hotAfter + 2) {
				id := fmt.Sprintf("t%d", i%2)
				tx, err := db.BeginTx(as(t, id), nil)
				if err != nil {
					t.Fatal(err)
				}
				var mood, moods string
				_, err = tx.ExecContext(as(t, id), "update moods set mood = $1 where id = $2", "of "+id, 1)
				err = errors.Join(err,
					tx.QueryRowContext(as(t, id), "select mood, all_moods from moods where mood = $1", "of "+id).Scan(&mood, &moods), tx.Commit())
				if err != nil || mood != "of "+id {
					t.Fatalf("%s, round %d, %s: %q, %v", mode, i, id, mood, err)
				}
			}
		}
	})
}

func TestTextsApartAreBounded(t *testing.T) {
	t.Parallel()
	var h hot
	a := Scope{Owner: "a", Schema: "a"}
	h.keepApart("select 1")
	if got := h.text(a, "select 1"); got != "select 1/*a*/" {
		t.Errorf("apart: %s", got)
	}
	if got := h.text(Scope{}, "select 1"); got != "select 1" {
		t.Errorf("nobody's: %s", got)
	}
	for i := range hotSeen {
		h.keepApart(fmt.Sprintf("select %d, 2", i))
	}
	if got := h.text(a, "select 3"); got != "select 3/*a*/" || len(h.apart) > 0 {
		t.Errorf("too many to tell: %s, %d kept", got, len(h.apart))
	}
}

func TestUnreadableDescriptionsCount(t *testing.T) {
	t.Parallel()
	column := append([]byte("name\x00"), make([]byte, columnLen)...)
	for _, body := range [][]byte{nil, {0}, {0, 1}, {0, 1, 0, 0, 0}, {0, 1, 0, 0, 64, 0}, {0, 0, 9}} {
		if !hasUserParameter(body) {
			t.Errorf("parameters %v", body)
		}
	}
	if hasUserParameter([]byte{0, 1, 0, 0, 0, 23}) || hasUserColumn(append([]byte{0, 1}, column...)) {
		t.Error("a type of the server's own counted")
	}
	for cut := 3; cut < 2+len(column); cut++ {
		if !hasUserColumn(append([]byte{0, 1}, column...)[:cut]) {
			t.Errorf("a column that ends after %d bytes", cut)
		}
	}
}

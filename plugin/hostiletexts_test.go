package tenantplugin_test

import (
	"database/sql"
	"fmt"
	"testing"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// hostileTexts try to leave something on the connection that answers the next
// tenant: an open transaction, a path, a temporary table, a cursor, a prepared
// statement, a role. Others are broken on purpose. Some are refused, some run;
// the next tenant must not notice which. (COPY FROM STDIN hangs in pgx's Exec
// until its context ends, plugin or not.)
var hostileTexts = []string{
	`commit and chain`, `rollback and chain`, `commit; select 1`, `begin; select 1`, `begin`, `start transaction read write`, `end`, `abort`,
	`prepare transaction 'x'`, `set transaction isolation level serializable`, `set session characteristics as transaction read only`,
	`savepoint s; set local search_path to tenant_a; release s`,

	`set/**/search_path = tenant_a`, `/* /* */ */ set search_path to tenant_a`, `SET SESSION search_path TO tenant_a`, `set local search_path to tenant_a`,
	`set "search_path" to tenant_a`, `set schema 'tenant_a'`, `set session schema 'tenant_a'`, "set\fsearch_path to tenant_a", "set\u00a0search_path to tenant_a",
	`set search_path = default`, `set search_path from current`, `reset search_path`, `reset all`, `discard all`, `discard plans`, `discard temp`, `deallocate all`,
	`update pg_settings set setting = 'tenant_a' where name = 'search_path'`, `select current_setting('search_path')`,

	`select set_config('search_path', 'tenant_a', false)`, `select pg_catalog."set_config"('search_path', 'tenant_a', false)`, `select "set_config" ('search_path','tenant_a',false)`,
	`select set_config('sea' || 'rch_path', 'tenant_a', false)`, `select set_config(E'search\x5fpath', 'tenant_a', false)`, `select * from set_config('SEARCH_PATH', 'tenant_a', false)`,
	`select set_config(setting_name => 'search_path', new_value => 'tenant_a', is_local => false)`, `select U&"set\005Fconfig"('search_path', 'tenant_a', false)`,
	`select $$'$$ , set_config('search_path', 'tenant_a', false)`, `select '\', set_config('search_path', 'tenant_a', false) --'`,
	"select 'a' --'\n, set_config('search_path', 'tenant_a', false)", `select e'\'', set_config('search_path', 'tenant_a', false)`,
	`select 1 where exists (select set_config('search_path','tenant_a',false))`, `values (set_config('search_path','tenant_a',false))`,
	`with x as materialized (select set_config('search_path','tenant_a',false)) select * from x`,
	`select xmlparse(document '<a/>'), set_config('search_path','tenant_a',false)`,

	`do $$ begin perform set_config('search_path', 'tenant_a', false); end $$`, `do $$ begin execute 'set search_path to tenant_a'; end $$`,
	`select 1; do $$ begin execute 'set search_path to tenant_a'; end $$`, `do $$ begin commit; execute 'set session search_path to tenant_a'; end $$`,
	`do $$ begin perform set_config('search_path', 'tenant_a', false); commit; perform set_config('search_path', 'tenant_a', false); end $$`,
	`create procedure pp() language plpgsql as $$ begin perform set_config('search_path','tenant_a',false); commit; perform set_config('search_path','tenant_a',false); end $$; call pp()`, `call pp()`,

	`create temp table users as select 'a'::text as name, 1::bigint as id`, `create temporary view users as select 1::bigint as id, 'a'::text as name`,
	`create function pg_temp.f() returns int language sql as $$ select 1 $$`, `create type pg_temp.text as (x int)`, `drop schema if exists pg_temp`,
	`do $$ begin create temp table users as select 'a'::text as name, 1::bigint as id; end $$`,
	`declare c cursor with hold for select name from users`, `declare c cursor for select name from users`, `fetch all from c`, `close all`,
	`prepare p as select name from users`, `execute p`,

	`set role postgres`, `set session authorization postgres`, `reset role`, `set standard_conforming_strings = off`, `set client_encoding = 'SQL_ASCII'`, `set temp_tablespaces = ''`,
	`listen x`, `notify x`, `lock table users`, `select pg_advisory_lock(1)`, `select lo_create(0)`, `select dblink('x')`, `load 'auto_explain'`, `checkpoint`,
	`copy users to stdout`, `explain analyze select * from users`, `table users`,
	`vacuum users`, `cluster`, `create index concurrently ix on users (name)`, `reindex table concurrently users`,
	`create schema authorization postgres create table users (id bigint, name text)`, `create table x (like users)`,
	`alter table users rename to users2`, `alter table users2 rename to users`,

	``, `;`, `--`, `/*`, `select 1 /*`, `select '`, "select 1\x00; select 2", `select 1; select name from users; commit; select name from users`,
}

func TestHostileTexts(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		w := newWorld(t, s)
		handle, err := w.db.DB()
		ok(t, err)
		handle.SetMaxOpenConns(1) // whoever is next, is next on this connection
		for _, text := range hostileTexts {
			for way, run := range map[string]func(){
				"Exec":           func() { w.as(t, "a").Exec(text) },
				"Exec, argument": func() { w.as(t, "a").Exec(text+" -- ?", 1) },
				"Rows":           func() { readAll(w.as(t, "a").Raw(text)) },
				"transaction":    func() { w.hostileTransaction(t, text) },
				"connection":     func() { w.hostileConnection(t, text) },
			} {
				run()
				w.untouched(t, handle, fmt.Sprintf("%s %q", way, text))
			}
		}
	})
}

// readAll reads what there is. Whether it fails is not the question here.
func readAll(db *gorm.DB) {
	rows, err := db.Rows()
	if err != nil {
		return
	}
	defer rows.Close()
	for rows.Next() {
	}
	_ = rows.Err()
}

// hostileTransaction runs text in a transaction of tenant a, and then asks in it
// for b's row. Its end may fail.
func (w *world) hostileTransaction(t *testing.T, text string) {
	_ = w.as(t, "a").Transaction(func(tx *gorm.DB) error {
		tx.Exec(text)
		if got, err := first(tx.WithContext(tenant.NewContext(t.Context(), "b"))); err == nil {
			t.Errorf("inside a's transaction after %q: b reads %q", text, got)
		}
		return nil
	})
}

func (w *world) hostileConnection(t *testing.T, text string) {
	_ = w.as(t, "a").Connection(func(c *gorm.DB) error {
		c.Exec(text)
		if got, err := first(c.WithContext(tenant.NewContext(t.Context(), "b"))); err == nil && got != "b" {
			t.Errorf("on a's connection after %q: b reads %q", text, got)
		}
		return nil
	})
}

// untouched checks that tenant b reads its own row, that a reads no other's (it
// may have broken its own schema), and that a bare connection reads none.
func (w *world) untouched(t *testing.T, handle *sql.DB, after string) {
	t.Helper()
	for _, id := range []tenant.ID{"b", "a", "b"} {
		got, err := first(w.as(t, id))
		if err == nil && got != string(id) || err != nil && id == "b" {
			t.Errorf("after %s: tenant %s reads %q, %v", after, id, got, err)
		}
		var path string
		ok(t, w.as(t, id).Raw("select current_setting('search_path')").Scan(&path).Error)
		if want := fmt.Sprintf(`"tenant_%s", pg_temp`, id); path != want {
			t.Errorf("after %s: tenant %s has the path %s, want %s", after, id, path, want)
		}
	}
	var n int
	if err := handle.QueryRowContext(t.Context(), "select count(*) from users").Scan(&n); err == nil {
		t.Errorf("after %s: a bare connection finds users", after)
	}
	var path string
	ok(t, handle.QueryRowContext(t.Context(), "select current_setting('search_path')").Scan(&path))
	if path != "" && path != `""` {
		t.Errorf("after %s: a bare connection has the path %s", after, path)
	}
}

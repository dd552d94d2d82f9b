package sqltext

import (
	"strings"
	"testing"
)

func TestNeedsNoTransaction(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`CREATE INDEX CONCURRENTLY i ON t (a)`:                      true,
		`create unique index concurrently if not exists i on t (a)`: true,
		`/* x */ CREATE /* y */ INDEX CONCURRENTLY ON t (a)`:        true,
		`DROP INDEX CONCURRENTLY i`:                                 true,
		`DROP INDEX CONCURRENTLY IF EXISTS i`:                       true,
		`REINDEX INDEX CONCURRENTLY i`:                              true,
		`REINDEX (CONCURRENTLY) TABLE t`:                            true,
		`REINDEX (VERBOSE) SCHEMA s`:                                true,
		`REINDEX DATABASE d`:                                        true,
		`REINDEX SYSTEM d`:                                          true,
		`REINDEX TABLE t`:                                           false,
		`REINDEX TABLE system`:                                      false,
		`REINDEX INDEX schema`:                                      false,
		`VACUUM`:                                                    true,
		`VACUUM (FULL) t`:                                           true,
		`ANALYZE t`:                                                 false,
		`CREATE DATABASE d`:                                         true,
		`DROP DATABASE IF EXISTS d`:                                 true,
		`CREATE TABLESPACE s LOCATION '/x'`:                         true,
		`DROP TABLESPACE s`:                                         true,
		`ALTER SYSTEM SET work_mem = 1`:                             true,
		`ALTER DATABASE d SET TABLESPACE s`:                         true,
		`ALTER DATABASE d SET work_mem = 1`:                         false,
		`ALTER TABLE t SET TABLESPACE s`:                            false,
		`CLUSTER`:                                                   true,
		`CLUSTER;`:                                                  true,
		`CLUSTER VERBOSE`:                                           true,
		`CLUSTER (VERBOSE)`:                                         true,
		`CLUSTER t USING i`:                                         false,
		`CLUSTER "t"`:                                               false,
		`ALTER TABLE t DETACH PARTITION p CONCURRENTLY`:             true,
		`ALTER TABLE IF EXISTS s.t DETACH PARTITION "s"."p" CONCURRENTLY`:  true,
		`ALTER TABLE t DETACH PARTITION p`:                                 false,
		`CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p`:               true,
		`ALTER SUBSCRIPTION s REFRESH PUBLICATION`:                         true,
		`DROP SUBSCRIPTION s`:                                              true,
		`COMMIT PREPARED 'x'`:                                              true,
		`ROLLBACK PREPARED 'x'`:                                            true,
		`CREATE INDEX i ON t (a)`:                                          false,
		`CREATE INDEX "concurrently" ON t (a)`:                             false,
		`REFRESH MATERIALIZED VIEW CONCURRENTLY v`:                         false,
		`CREATE TABLE vacuum (a int)`:                                      false,
		`SELECT 'VACUUM'`:                                                  false,
		`CREATE TABLE database (tablespace int)`:                           false,
		`COMMENT ON INDEX i IS 'x'`:                                        false,
		`CREATE VIEW v AS SELECT 1 -- INDEX CONCURRENTLY`:                  false,
		`SELECT 1; VACUUM`:                                                 true,
		`DROP TABLE t`:                                                     false,
		`ALTER TABLE t ADD COLUMN concurrently int`:                        false,
		`CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ CLUSTER; $$`:  false,
		`INSERT INTO t SELECT 1 WHERE 'x' = 'CREATE INDEX CONCURRENTLY x'`: false,
	} {
		if got := Classify(text).NeedsNoTransaction(); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

const path, role, all = "search_path", "role", "whole session"

// escapes says what the reason must contain.
var escapes = map[string]string{
	`SET search_path = x`:                                        path,
	`set SEARCH_PATH to x`:                                       path,
	`SET LOCAL search_path TO x`:                                 path,
	`SET SESSION search_path TO x`:                               path,
	`SET "search_path" TO x`:                                     path,
	`SET "Search_Path" TO x`:                                     path,
	`SET U&"search\005fpath" TO x`:                               "Unicode",
	`SET U&"search!005fpath" UESCAPE '!' TO x`:                   "Unicode",
	`SET U&"search_path" TO x`:                                   path,
	`SET/**/search_path=x`:                                       path,
	"SET--x\nsearch_path=x":                                      path,
	`SET SCHEMA 'x'`:                                             path,
	`SET LOCAL SCHEMA 'x'`:                                       path,
	`SET SESSION SCHEMA 'x'`:                                     path,
	`SET ROLE x`:                                                 role,
	`SET LOCAL ROLE x`:                                           role,
	`SET SESSION ROLE x`:                                         role,
	`SET role = 'x'`:                                             role,
	`SET SESSION AUTHORIZATION x`:                                role,
	`SET LOCAL SESSION AUTHORIZATION x`:                          role,
	`SET SESSION SESSION AUTHORIZATION DEFAULT`:                  role,
	`SET session_authorization = x`:                              role,
	`RESET search_path`:                                          path,
	`RESET "search_path"`:                                        path,
	`RESET ROLE`:                                                 role,
	`RESET SESSION AUTHORIZATION`:                                role,
	`RESET ALL`:                                                  all,
	`DISCARD ALL`:                                                all,
	`SELECT 1; SET search_path = x`:                              path,
	`;; SET search_path = x`:                                     path,
	"SELECT 1 -- c\r; SET search_path = x":                       path,
	`SELECT 'a\'; SET search_path = x; --'`:                      path,
	`SELECT $$;$$; SET search_path = x`:                          path,
	`SELECT $1$a$; SET search_path = y; SELECT $a$`:              "",
	`SELECT a$a$; SET search_path = y; SELECT $a$`:               path,
	`BEGIN; SET LOCAL search_path = x; COMMIT`:                   path,
	`SELECT set_config('search_path', 'x', true)`:                path,
	`SELECT SET_CONFIG ( 'Search_Path' , 'x', false)`:            path,
	`SELECT "set_config"('search_path', 'x', true)`:              path,
	`SELECT pg_catalog.set_config('search_path', 'x', true)`:     path,
	`SELECT db.pg_catalog.set_config('search_path', 'x', true)`:  path,
	`SELECT set_config('role', 'x', true)`:                       role,
	`SELECT set_config('session_authorization', 'x', true)`:      role,
	`SELECT set_config($1, 'x', true)`:                           "set_config",
	`SELECT set_config('search' || '_path', 'x', true)`:          "set_config",
	"SELECT set_config('search_'\n'path', 'x', true)":            "set_config",
	`SELECT set_config(E'search\x5fpath', 'x', true)`:            "set_config",
	`SELECT set_config(U&'search\005fpath', 'x', true)`:          "set_config",
	`SELECT set_config($$search_path$$, 'x', true)`:              "set_config",
	`SELECT set_config(('search_path'), 'x', true)`:              "set_config",
	`SELECT set_config(setting_name => 'x', new_value => 'y')`:   "set_config",
	`SELECT set_config(name, 'x', true) FROM t`:                  "set_config",
	`SELECT set_config(set_config('a.b', 'c', true), 'x', true)`: "set_config",
	`CREATE AGGREGATE pg_temp.a(text, boolean) (sfunc = set_config, stype = text, initcond = 'search_path')`: "set_config",
	`create or replace aggregate a(text, bool) (stype = text, sfunc = pg_catalog . "set_config")`:            "set_config",
	`CREATE TABLE t (set_config int)`:                                                        "",
	`SELECT U&"set\005fconfig"('search_path', 'x', true)`:                                    "Unicode",
	`INSERT INTO t SELECT set_config('search_path', 'x', true)`:                              path,
	`WITH x AS (SELECT set_config('role', 'x', true)) TABLE x`:                               role,
	`PREPARE p AS SELECT set_config('search_path', $1, true)`:                                path,
	`EXPLAIN ANALYZE SELECT set_config('search_path','x',true)`:                              path,
	`UPDATE pg_settings SET setting = 'x' WHERE name = 'y'`:                                  "pg_settings",
	`WITH x AS (UPDATE ONLY pg_catalog."pg_settings" SET setting = 'x' RETURNING 1) TABLE x`: "pg_settings",
	`CREATE TEMP VIEW v AS SELECT * FROM pg_settings`:                                        "pg_settings",
	`create or replace view v (n, s) as select name, setting from Pg_Catalog."pg_settings"`:  "pg_settings",
	`EXECUTE "gormtenancy_ABC"('x', 'y')`:                                                    "sets the scope",
	`EXPLAIN ANALYZE CREATE TABLE x (a, b) AS EXECUTE/**/U&"gormtenancy_ABC" ('x', 'y')`:     "sets the scope",
	`EXECUTE gorm('x', 'y')`:                                                                 "",
	`SELECT * FROM gormtenancy_x`:                                                            "",
	`SET standard_conforming_strings = off`:                                                  "statement text",
	`SET LOCAL standard_conforming_strings TO 'off'`:                                         "statement text",
	`SELECT set_config('standard_conforming_strings', 'off', true)`:                          "statement text",
	`SET client_encoding TO SJIS`:                                                            "statement text",
	`SET NAMES 'GBK'`:                                                                        "statement text",
	`SET standard_conforming_strings = on`:                                                   "",
	`SET client_encoding = 'UTF8'`:                                                           "",
	`SET NAMES 'utf-8'`:                                                                      "",
	`SHOW search_path`:                                                                       "",
	`SELECT current_setting('search_path')`:                                                  "",
	`CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = x AS $$ select 1 $$`:     "",
	`ALTER FUNCTION f() SET search_path = x`:                                                 "",
	`ALTER ROLE r SET search_path = x`:                                                       "",
	`ALTER DATABASE d SET search_path = x`:                                                   "",
	`SELECT 'SET search_path = x'`:                                                           "",
	`SELECT 1 -- ; SET search_path = x`:                                                      "",
	`SELECT 1 /* ; SET search_path = x */`:                                                   "",
	`SELECT $a$; SET search_path = x; $a$`:                                                   "",
	"SELECT E'x'\n'\\'; SET search_path = x; --'":                                            "",
	`SELECT "; SET search_path = x; "`:                                                       "",
	`UPDATE t SET search_path = 'x', role = 'y', schema = 'z'`:                               "",
	`INSERT INTO t (search_path, role) VALUES ('search_path', 'role')`:                       "",
	`SELECT search_path, role, schema FROM t`:                                                "",
	`SET LOCAL work_mem = '1MB'`:                                                             "",
	`SET TRANSACTION ISOLATION LEVEL SERIALIZABLE`:                                           "",
	`SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY`:                                   "",
	`SET CONSTRAINTS ALL DEFERRED`:                                                           "",
	`SET TIME ZONE 'UTC'`:                                                                    "",
	`RESET work_mem`:                                                                         "",
	`DISCARD PLANS`:                                                                          "",
	`DISCARD TEMP`:                                                                           "",
	`DISCARD SEQUENCES`:                                                                      "",
	`SELECT set_config('app.user', $1, true)`:                                                "",
	`SELECT set_config('statement_timeout', '1s', true)`:                                     "",
	`SELECT * FROM pg_settings`:                                                              "",
	`CREATE SCHEMA x`:                                                                        "",
	`CREATE ROLE r`:                                                                          "",
	`UPDATE "users" SET "role" = $1 WHERE "id" = $2`:                                         "",
	`SELECT U&'\0061', U&"plain" FROM t`:                                                     "",
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for text, want := range escapes {
		got := Classify(text).Escape()
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestSessionState(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`CREATE TEMP TABLE x (a int)`:                               true,
		`create temporary table x as select 1`:                      true,
		`CREATE LOCAL TEMP TABLE x (a int)`:                         true,
		`CREATE GLOBAL TEMPORARY TABLE x (a int)`:                   true,
		`CREATE OR REPLACE TEMP VIEW v AS SELECT 1`:                 true,
		`CREATE TEMP RECURSIVE VIEW v (a) AS SELECT 1`:              true,
		`CREATE TEMP SEQUENCE s`:                                    true,
		`CREATE TABLE pg_temp.x (a int)`:                            true,
		`CREATE FUNCTION "pg_temp".f() RETURNS int LANGUAGE sql`:    true,
		`SELECT * FROM pg_temp_3.x`:                                 true,
		`SELECT 1 INTO TEMP x`:                                      true,
		`SELECT 1 INTO LOCAL TEMPORARY TABLE x`:                     true,
		`SELECT 1; CREATE TEMP TABLE x (a int)`:                     true,
		`LISTEN x`:                                                  true,
		`PREPARE p AS SELECT 1`:                                     true,
		`DEALLOCATE ALL`:                                            true,
		`DECLARE c CURSOR WITH HOLD FOR SELECT 1`:                   true,
		`SET work_mem = '1MB'`:                                      true,
		`SET SESSION work_mem = '1MB'`:                              true,
		`SET TIME ZONE 'UTC'`:                                       true,
		`SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY`:      true,
		`RESET work_mem`:                                            true,
		`LOAD 'x'`:                                                  true,
		`SELECT pg_advisory_lock(1)`:                                true,
		`SELECT pg_advisory_lock_shared(1)`:                         true,
		`SELECT pg_catalog.pg_try_advisory_lock(1)`:                 true,
		`SELECT set_config('a.b', 'x', false)`:                      true,
		`SELECT set_config('a.b', 'x', $1)`:                         true,
		`SELECT set_config('a.b', 'x', not true)`:                   true,
		`SELECT set_config('a.b', (SELECT max(a) FROM t), false)`:   true,
		`SELECT setseed(0.5)`:                                       true,
		`SELECT dblink_connect('x', 'y')`:                           true,
		`SELECT set_config('a.b', 'x', true)`:                       false,
		`SELECT set_config('a.b', f(1, true), true), f(1, false)`:   false,
		`SELECT pg_advisory_xact_lock(1), pg_advisory_unlock(1)`:    false,
		`SET LOCAL work_mem = '1MB'`:                                false,
		`SET TRANSACTION READ ONLY`:                                 false,
		`SET CONSTRAINTS ALL IMMEDIATE`:                             false,
		`PREPARE TRANSACTION 'x'`:                                   false,
		`DECLARE c CURSOR FOR SELECT 1`:                             false,
		`DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1`:                false,
		`CREATE TABLE temp (a int)`:                                 false,
		`CREATE TABLE x (temp int)`:                                 false,
		`CREATE INDEX temp ON t (a)`:                                false,
		`INSERT INTO temp VALUES (1)`:                               false,
		`SELECT temp FROM x`:                                        false,
		`UPDATE t SET temp = 1`:                                     false,
		`SELECT 'pg_temp', 'CREATE TEMP TABLE'`:                     false,
		`UNLISTEN *`:                                                false,
		`NOTIFY x`:                                                  false,
		`CREATE TABLE t (a int)`:                                    false,
		`SELECT 1`:                                                  false,
		`CREATE FUNCTION f() RETURNS int AS $$ set x = 1; listen y`: false,
	} {
		if got := Classify(text).SessionState(); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	const begin, end = "begin", "end"
	for text, want := range map[string]struct {
		kind  Kind
		marks string
	}{
		``:                                   {Other, ""},
		`-- x`:                               {Other, ""},
		`frobnicate`:                         {Other, ""},
		`SELECT 1`:                           {Read, ""},
		`(SELECT 1)`:                         {Read, ""},
		`SELECT 1 FOR UPDATE`:                {Read, ""},
		`WITH x AS (SELECT 1) TABLE x`:       {Read, ""},
		`SHOW x`:                             {Read, ""},
		`EXPLAIN SELECT 1`:                   {Read, ""},
		`SELECT 1 INTO x`:                    {DDL, ""},
		`INSERT INTO t VALUES (1)`:           {Write, ""},
		`WITH x AS (SELECT 1) DELETE FROM t`: {Write, ""},
		`WITH x AS (DELETE FROM t RETURNING 1) TABLE x`: {Write, ""},
		`SELECT 1; DELETE FROM t`:                       {Write, ""},
		`MERGE INTO t USING u ON (true)`:                {Write, ""},
		`COPY t FROM STDIN`:                             {Write, ""},
		`CALL p()`:                                      {Write, ""},
		`CREATE TABLE t ()`:                             {DDL, ""},
		`TRUNCATE t`:                                    {DDL, ""},
		`VACUUM`:                                        {DDL, ""},
		`SET x = 1`:                                     {Control, ""},
		`LOCK TABLE t`:                                  {Control, ""},
		`BEGIN`:                                         {Control, begin},
		`begin isolation level serializable`:            {Control, begin},
		`START TRANSACTION READ ONLY`:                   {Control, begin},
		`COMMIT`:                                        {Control, end},
		`COMMIT AND CHAIN`:                              {Control, end},
		`END`:                                           {Control, end},
		`ROLLBACK`:                                      {Control, end},
		`ROLLBACK WORK`:                                 {Control, end},
		`ABORT`:                                         {Control, end},
		`PREPARE TRANSACTION 'x'`:                       {Control, end},
		`ROLLBACK TO x`:                                 {Control, ""},
		`ROLLBACK WORK TO SAVEPOINT x`:                  {Control, ""},
		`ROLLBACK TRANSACTION TO "x"`:                   {Control, ""},
		`COMMIT PREPARED 'x'`:                           {Control, ""},
		`SAVEPOINT x`:                                   {Control, ""},
		`RELEASE SAVEPOINT x`:                           {Control, ""},
		`BEGIN; UPDATE t SET a = 1; COMMIT`:             {Write, begin + end},
		`SELECT 1; ROLLBACK TO x; COMMIT`:               {Read, end},
		`SELECT 'COMMIT'`:                               {Read, ""},
		`CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END`: {DDL, ""},
		`CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; END`:                              {DDL, end},
		`CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END; COMMIT`:                           {DDL, end},
		`CREATE VIEW v AS SELECT 1 FROM begin atomic; END`:                                             {DDL, end},
	} {
		f, marks := Classify(text), ""
		if f.BeginsTransaction() {
			marks += begin
		}
		if f.EndsTransaction() {
			marks += end
		}
		if f.Command() != want.kind || marks != want.marks {
			t.Errorf("%s: got %v %q", text, f.Command(), marks)
		}
	}
}

func TestBeforeSnapshot(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"set transaction isolation level serializable": true, "/* x */ lock table t": true, "savepoint s": true, "": false,
		"lock table t; select 1": true, "what is this": true, "select 1": false, "select 1; lock table t": false, "insert into t values (1)": false,
		"with x as (select 1) select * from x": false, "create table t (a int)": false, "do $$ begin end $$": false,
	} {
		if got := Classify(text).BeforeSnapshot(); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestCallsUnknown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"select report()": true, "select count(*), report() from t for update": true, `select "report"()`: true, "select app.report(1)": true,
		"update t set a = report()": true, "delete from t where report(a)": true, "with x as (select report()) select 1": true,
		"explain analyze select report()": true, "select app.lower('X')": true,
		"select 1": false, "select count(*) from t": false, "select nextval('s')": false, "select pg_catalog.lower('X')": false,
		"select * from t as x (a, b) for update": false, "select pg_advisory_xact_lock(1)": false, `insert into "t" ("a") values (1)`: false,
		"update t set a = lower(b) where c in (1, 2)": false, "select 'report()'": false,
		"do $$ begin end $$": true, "select 1; call p()": true, "execute p": true, "insert into t (a) values (report())": true,
		"insert into t (a) select b from report() on conflict (a) do nothing": true, "merge into t using s on report(t.a)": true,
		`insert into "t" ("a") values (lower('x')) on conflict ("a") do update set "a" = excluded."a" where "t"."a" in (1) returning "id"`: false,
		"insert into t as x (a) values (1)": false, "select * from t join u on conflict(t.a)": true,
	} {
		if got := Classify(text).CallsUnknown(); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestRunsText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`DO $$ BEGIN END $$`:                                               true,
		`/* a */ do language plpgsql 'begin end'`:                          true,
		`SELECT 1; DO 'begin end'`:                                         true,
		`CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'`:       true,
		`create or replace function pg_temp.f() returns int return 1`:      true,
		`CREATE PROCEDURE p() LANGUAGE sql AS 'select 1'`:                  true,
		`SELECT query_to_xml('select 1', true, true, '')`:                  true,
		`SELECT pg_catalog . "query_to_xml" ('select 1', true, true, '')`:  true,
		`SELECT QUERY_TO_XML_AND_XMLSCHEMA('select 1', true, true, '')`:    true,
		`SELECT * FROM ts_stat('select v from t')`:                         true,
		`SELECT ('select v from t'::text).ts_stat`:                         true,
		`SELECT ts_rewrite(q, 'select a, b from t') FROM s`:                true,
		`SELECT * FROM dblink('host=x', 'select 1') AS t (a int)`:          true,
		`SELECT * FROM crosstab('select 1, 2, 3') AS t (a int)`:            true,
		`CREATE AGGREGATE pg_temp.a(text) (sfunc = f, stype = text)`:       true,
		`create operator pg_temp.@ (function = f, rightarg = text)`:        true,
		`SELECT 1 OPERATOR(pg_catalog.+) 2`:                                false,
		`CREATE TABLE aggregate (operator int)`:                            false,
		`INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING`:                  false,
		`INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1`:     false,
		`CREATE TRIGGER t BEFORE INSERT ON a EXECUTE FUNCTION f()`:         false,
		`SELECT 'DO', 'ts_stat', "function" FROM t -- query_to_xml`:        false,
		`SELECT ts_headline('a', q), to_tsvector(body), ts_status FROM t`:  false,
		`CREATE TABLE procedure (function int)`:                            false,
		`DROP FUNCTION f()`:                                                false,
		`SELECT xmlelement(name a), table_name FROM information_schema.t`:  false,
		`SELECT row_to_json(t), date_trunc('day', created_at) FROM t`:      false,
		`SELECT * FROM t WHERE "Ts_Stat" = 1 AND cross_table = 'crosstab'`: false,
	} {
		if got := Classify(text).RunsText(); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

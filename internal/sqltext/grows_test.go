package sqltext

import "testing"

func TestGrows(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"insert into t values (1)":                              true,
		"UPDATE t SET a = 1":                                    true,
		"merge into t using s on true when matched then delete": true,
		"copy t from stdin binary":                              true,
		"copy t (a, b) FROM '/x'":                               true,
		"create table t (a int)":                                true,
		"create index on t (a)":                                 true,
		"select 1 into t":                                       true,
		"with x as (insert into t values (1) returning a) select a from x": true,
		"select 1; insert into t values (1)":                               true,
		"with x as (delete from t returning a) select a from x":            false,
		"select a from t":                  false,
		"select a from t for update":       false,
		"delete from t":                    false,
		"truncate t":                       false,
		"drop table t":                     false,
		"alter table t drop column a":      false,
		"vacuum t":                         false,
		"copy t to stdout":                 false,
		"copy (select a from t) to stdout": false,
		"notify c":                         false,
		"commit":                           false,
		"":                                 false,
	} {
		if got := Classify(text).Grows(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

package tenant_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// password is in the DSNs of the tests, and in nothing that is shown.
const password = "s3cr3tw0rd"

// dsns hold password in every spelling that is to be hidden.
var dsns = map[string]string{
	"url":                  "postgres://app:" + password + "@db:5432/app?sslmode=disable",
	"postgresql url":       "postgresql://app:" + password + "@db/app",
	"no user":              "postgres://:" + password + "@db/app",
	"in the query":         "postgres://db/app?user=app&password=" + password,
	"in the query, twice":  "postgres://db/app?password=a&password=" + password,
	"upper case key":       "postgres://db/app?PassWord=" + password,
	"spaced key":           "postgres://db/app?password%20=" + password,
	"passfile":             "postgres://db/app?passfile=" + password,
	"key's password":       "postgres://db/app?sslpassword=" + password,
	"key":                  "postgres://db/app?sslkey=" + password,
	"two hosts":            "postgres://app:" + password + "@db1:5432,db2:5432/app",
	"bare @":               "postgres://app:a@" + password + "@db/app",
	"bare slash":           "postgres://app:12/" + password + "@db/app",
	"bare question mark":   "postgres://app:12?" + password + "@db/app",
	"bare hash":            "postgres://app:12#" + password + "@db/app",
	"bare hash in query":   "postgres://db/app?password=a#" + password,
	"bare percent":         "postgres://app:%zz" + password + "@db/app",
	"upper case scheme":    "POSTGRES://app:" + password + "@db/app",
	"space before":         " postgres://app:" + password + "@db/app",
	"another scheme":       "mysql://app:" + password + "@db/app",
	"words":                "host=db user=app password=" + password + " dbname=app",
	"words, at the end":    "host=db password=" + password,
	"words, upper case":    "host=db PASSWORD=" + password,
	"spaces round equals":  "host=db password  =  " + password,
	"line break":           "host=db\npassword\n=\n" + password,
	"vertical tab":         "host=db\vpassword\v=\v" + password,
	"quoted":               "host=db password='" + password + "'",
	"quoted with a space":  "host=db password='a " + password + "'",
	"quoted quote":         `host=db password='a\' ` + password + `'`,
	"quoted line break":    "host=db password='a\\\n'\nsslkey='\\\n " + password + "'",
	"escaped space":        `host=db password=a\ ` + password,
	"escaped quote":        `host=db password=\'\ ` + password,
	"escaped backslash":    `host=db password=\\` + password + ` user=app`,
	"unterminated":         "host=db password='a " + password,
	"behind the quote":     "host=db password='a'" + password,
	"behind an empty word": "host=db password=''" + password,
	"a second word":        "host=db password=a " + password + " user=app",
	"no equals":            "host=db password " + password,
	"two passwords":        "password=a host=db password=" + password,
	"words of a url":       "host=db password=postgres://" + password,
	"sslpassword word":     "host=db sslpassword=" + password,
	"passfile word":        "host=db passfile=" + password,
	"sslkey word":          "host=db sslkey=" + password,
	"nothing but":          password,
}

func TestRedactDSN(t *testing.T) {
	t.Parallel()
	for name, dsn := range dsns {
		if got := tenant.RedactDSN(dsn); strings.Contains(got, password) {
			t.Errorf("%s: %s", name, got)
		}
	}
	for dsn, want := range map[string]string{
		"":                                    "",
		"postgres://app@db/app":               "postgres://app@db/app",
		dsns["url"]:                           "postgres://app:xxxxx@db:5432/app?sslmode=disable",
		dsns["words"]:                         "host=db user=app password=xxxxx dbname=app",
		dsns["quoted line break"]:             "host=db password=xxxxx\nsslkey=xxxxx",
		dsns["spaces round equals"]:           "host=db password  =  xxxxx",
		"host=/tmp application_name='a b'":    "host=/tmp application_name='a b'",
		"host=db require_auth=password port=": "host=db require_auth=password port=",
	} {
		if got := tenant.RedactDSN(dsn); got != want {
			t.Errorf("%s: %s, want %s", dsn, got, want)
		}
	}
}

// What pgx would use as the password is not shown, however it was spelt.
func FuzzRedactDSN(f *testing.F) {
	for _, dsn := range dsns {
		before, after, _ := strings.Cut(dsn, password)
		f.Add(before, after)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.Contains(before+after, "ssl") || strings.Contains(before+after, "file") || strings.Contains(before+after, "service") {
			t.Skip("pgx would read files")
		}
		dsn := before + password + after
		shown := tenant.RedactDSN(dsn)
		cfg, err := pgx.ParseConfig(dsn)
		if err == nil && strings.Contains(cfg.Password, password) && strings.Contains(shown, password) {
			t.Fatalf("%q: %q", dsn, shown)
		}
	})
}

func TestShardHidesItsPasswords(t *testing.T) {
	t.Parallel()
	for name, dsn := range dsns {
		s := tenant.Shard{Name: "eu-1", Region: "eu", Primary: dsn, Replicas: []string{dsn, dsn}}
		list := []tenant.Shard{s}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T %v"} {
			for _, arg := range []any{s, &s, list, map[string]tenant.Shard{"a": s}, struct{ Shard *tenant.Shard }{&s}} {
				if got := fmt.Sprintf(verb, arg); strings.Contains(got, password) || strings.Contains(got, fmt.Sprintf("%x", password)) {
					t.Errorf("%s, %s: %s", name, verb, got)
				}
			}
		}
		var log bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(h).Info("shards", "one", s, "pointer", &s, "all", list, "error", fmt.Errorf("lost %v", s))
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(log.String()+string(text), password) {
			t.Errorf("%s: %s, %s", name, log.String(), text)
		}
		if s.Primary != dsn || s.Replicas[0] != dsn {
			t.Errorf("%s: the shard itself was changed", name)
		}
	}
	s := tenant.Shard{Name: "eu-1", Region: "eu", Primary: dsns["url"], Replicas: []string{"host=r password=" + password}}
	want := `shard eu-1 (region "eu", primary postgres://app:xxxxx@db:5432/app?sslmode=disable, replicas [host=r password=xxxxx])`
	if s.String() != want || s.LogValue().String() != want || fmt.Sprint(&s) != want {
		t.Errorf("%s", s)
	}
}

func TestShardValidate(t *testing.T) {
	t.Parallel()
	if err := (tenant.Shard{Name: "eu-1", Primary: dsns["url"]}).Validate(); err != nil {
		t.Error(err)
	}
	for _, s := range []tenant.Shard{
		{Primary: dsns["url"]},
		{Name: "EU 1", Primary: dsns["url"]},
		{Name: "public", Primary: dsns["url"]},
		{Name: "eu-1"},
		{Name: "eu-1", Replicas: []string{dsns["url"]}},
	} {
		if err := s.Validate(); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%v: %v", s, err)
		}
	}
}

// Nobody may take one condition for another.
func TestConditionsAreApart(t *testing.T) {
	t.Parallel()
	all := []error{
		tenant.ErrNone, tenant.ErrInvalidID, tenant.ErrInvalidSchema, tenant.ErrUnknown, tenant.ErrSuspended, tenant.ErrNotActive, tenant.ErrExists,
		tenant.ErrMismatch, tenant.ErrMisplaced, tenant.ErrTxEnded, tenant.ErrForbidden, tenant.ErrNoRole, tenant.ErrLimited, tenant.ErrUnknownShard, tenant.ErrUnavailable,
	}
	texts := map[string]bool{}
	for i, a := range all {
		texts[a.Error()] = true
		for j, b := range all {
			if errors.Is(fmt.Errorf("read: %w", a), b) != (i == j) {
				t.Errorf("%v and %v", a, b)
			}
		}
	}
	if len(texts) != len(all) {
		t.Errorf("%d texts of %d conditions", len(texts), len(all))
	}
}

package tenant_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// idPattern is the rule of the documentation, said another way.
var idPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$`)

func TestParseID(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a", "0", "acme", "acme-corp", "a_b", "a--b", "0f5e6b2c-9d4f-4a11-8a53-0c3f6f1f2b44", "publicity", "pgx", strings.Repeat("a", tenant.MaxIDLen)} {
		if id, err := tenant.ParseID(s); err != nil || string(id) != s {
			t.Errorf("%q: %q, %v", s, id, err)
		}
	}
	for s, why := range map[string]string{
		"":                       "empty",
		strings.Repeat("a", 49):  "49 bytes",
		strings.Repeat("é", 25):  "50 bytes",
		strings.Repeat("a", 1e6): "1000000 bytes",
		"Acme":                   "only a-z",
		" acme":                  "only a-z",
		"acme\n":                 "only a-z",
		"acme\x00":               "only a-z",
		"a.b":                    "only a-z",
		`a"b`:                    "only a-z",
		"a'; drop schema x; --":  "only a-z",
		"а":                      "only a-z", // Cyrillic
		"a\u200bb":               "only a-z",
		"ａ":                      "only a-z", // full width
		"%61":                    "only a-z",
		"../etc":                 "only a-z",
		"-a":                     "begin and end",
		"a-":                     "begin and end",
		"_a":                     "begin and end",
		"a_":                     "begin and end",
		"-":                      "begin and end",
		"pg_a":                   "reserved",
		"pg_toast":               "reserved",
		"public":                 "reserved",
		"information_schema":     "reserved",
		"shared":                 "reserved",
		"tenancy":                "reserved",
	} {
		id, err := tenant.ParseID(s)
		if !errors.Is(err, tenant.ErrInvalidID) || id != "" || !strings.Contains(err.Error(), why) {
			t.Errorf("%.80q: %q, %v, want %q", s, id, err, why)
		}
	}
}

func TestParseSchema(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a", "old_customer", "Old Customer", "a$b", "a-b", "PGx", "publics", strings.Repeat("S", 63)} {
		if got, err := tenant.ParseSchema(s); err != nil || got != s {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for s, why := range map[string]string{
		"":                      "empty",
		strings.Repeat("a", 64): "64 bytes",
		" a":                    "space",
		"a ":                    "space",
		`a"b`:                   "only letters",
		"a'b":                   "only letters",
		"a;b":                   "only letters",
		"a.b":                   "only letters",
		"a,b":                   "only letters",
		"a\\b":                  "only letters",
		"a\tb":                  "only letters",
		"a\x00":                 "only letters",
		"schéma":                "only letters",
		"pg_catalog":            "reserved",
		"PG_temp":               "reserved",
		"Public":                "reserved",
		"public":                "reserved",
		"information_schema":    "reserved",
		"tenancy":               "reserved",
		"tenancy_fence":         "reserved",
		"$user":                 "reserved",
	} {
		got, err := tenant.ParseSchema(s)
		if !errors.Is(err, tenant.ErrInvalidSchema) || got != "" || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %q, %v, want %q", s, got, err, why)
		}
	}
}

// No two tenants share a schema, and PostgreSQL cuts no schema's name.
func TestSchemaForKeepsTenantsApart(t *testing.T) {
	t.Parallel()
	ids := rapid.StringMatching(`[a-z0-9]([a-z0-9_-]{0,46}[a-z0-9])?`).Filter(func(s string) bool {
		_, err := tenant.ParseID(s)
		return err == nil
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := ids.Draw(t, "a"), ids.Draw(t, "b")
		schema := tenant.SchemaFor(tenant.ID(a))
		if _, err := tenant.ParseSchema(schema); err != nil || len(schema) > 63 {
			t.Fatalf("schema %q of %q: %v", schema, a, err)
		}
		other := tenant.SchemaFor(tenant.ID(b))
		if (a == b) != strings.EqualFold(schema, other) {
			t.Fatalf("%q has %q, %q has %q", a, schema, b, other)
		}
	})
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"", "a", "acme-corp", "Acme", "pg_x", "public", "a\x00", "\xff", "а", strings.Repeat("a", 49)} {
		f.Add(s)
	}
	reserved := map[string]bool{"public": true, "information_schema": true, "shared": true, "tenancy": true}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := tenant.ParseID(s)
		ok := idPattern.MatchString(s) && len(s) <= tenant.MaxIDLen && !strings.HasPrefix(s, "pg_") && !reserved[s]
		if ok != (err == nil) {
			t.Fatalf("%q: %v", s, err)
		}
		if ok {
			if string(id) != s || tenant.QuoteIdent(tenant.SchemaFor(id)) != `"tenant_`+s+`"` {
				t.Fatalf("%q became %q", s, id)
			}
			return
		}
		checkRefusal(t, err, tenant.ErrInvalidID)
	})
}

func FuzzParseSchema(f *testing.F) {
	for _, s := range []string{"", "a", "Old Customer", " a", "pg_x", "Public", `a"b`, strings.Repeat("a", 64)} {
		f.Add(s)
	}
	pattern := regexp.MustCompile(`^[A-Za-z0-9_$-]([A-Za-z0-9_$ -]{0,61}[A-Za-z0-9_$-])?$`)
	reserved := regexp.MustCompile(`^(?i)(pg_.*|public|information_schema|tenancy|tenancy_fence|\$user)$`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := tenant.ParseSchema(s)
		if ok := pattern.MatchString(s) && !reserved.MatchString(s); ok != (err == nil) || ok && got != s {
			t.Fatalf("%q: %q, %v", s, got, err)
		}
		if err != nil {
			checkRefusal(t, err, tenant.ErrInvalidSchema)
		}
	})
}

// checkRefusal checks that an error can be logged whatever the input was.
func checkRefusal(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v is no %v", err, want)
	}
	if len(err.Error()) > 600 {
		t.Fatalf("an error of %d bytes", len(err.Error()))
	}
	for _, c := range []byte(err.Error()) {
		if c < ' ' || c > '~' {
			t.Fatalf("an error with byte %#x: %q", c, err)
		}
	}
}

package pgtool

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// passedOn are the settings of a DSN that libpq takes from the environment, beside
// those that pgx.ConnConfig has as fields.
var passedOn = map[string]string{
	"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
	"channel_binding": "PGCHANNELBINDING", "target_session_attrs": "PGTARGETSESSIONATTRS",
	"krbsrvname": "PGKRBSRVNAME", "gssencmode": "PGGSSENCMODE", "options": "PGOPTIONS",
}

// setting matches a setting of a keyword/value DSN.
var setting = regexp.MustCompile(`(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s\\]|\\.)*)`)

var unescape = regexp.MustCompile(`(?s)\\(.)`)

// environ returns the environment in which a program finds the database, and knows
// itself by name.
func environ(c *pgx.ConnConfig, name string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "PGSSL") || strings.HasPrefix(kv, "LC_") || strings.HasPrefix(kv, "LANG")
	})
	hosts, ports := places(c)
	set := map[string]string{
		"PGHOST": hosts, "PGPORT": ports, "PGUSER": c.User, "PGDATABASE": c.Database,
		"PGPASSWORD": c.Password, "PGAPPNAME": name, "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C",
	}
	if c.TLSConfig != nil && !slices.ContainsFunc(c.Fallbacks, plain) {
		set["PGSSLMODE"] = "require" // unless the DSN asks for more
	}
	for key, value := range settings(c.ConnString()) {
		if variable, ok := passedOn[key]; ok {
			set[variable] = value
		}
	}
	for k, v := range set {
		if v != "" {
			env = append(env, k+"="+v)
		}
	}
	return env
}

func plain(f *fallback) bool { return f.TLSConfig == nil }

// places returns the hosts that pgx would try, and their ports, as libpq takes them.
func places(c *pgx.ConnConfig) (hosts, ports string) {
	var h, p, seen []string
	add := func(host string, port uint16) {
		if at := fmt.Sprintf("%s:%d", host, port); !slices.Contains(seen, at) {
			seen, h, p = append(seen, at), append(h, host), append(p, fmt.Sprint(port))
		}
	}
	add(c.Host, c.Port)
	for _, f := range c.Fallbacks {
		add(f.Host, f.Port)
	}
	return strings.Join(h, ","), strings.Join(p, ",")
}

// settings returns what a DSN sets.
func settings(dsn string) map[string]string {
	set := map[string]string{}
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		// url.Parse refuses the ports of several hosts.
		_, query, _ := strings.Cut(dsn, "?")
		values, err := url.ParseQuery(query)
		if err != nil {
			return set
		}
		for k, v := range values {
			set[k] = v[len(v)-1]
		}
		return set
	}
	for _, m := range setting.FindAllStringSubmatch(dsn, -1) {
		value := strings.TrimSuffix(strings.TrimPrefix(m[2], "'"), "'")
		set[m[1]] = unescape.ReplaceAllString(value, "$1")
	}
	return set
}

package tenant

import (
	"net/url"
	"regexp"
	"strings"
)

const hidden = "xxxxx"

// secret reports whether a setting's value is not to be shown.
func secret(setting string) bool {
	switch strings.ToLower(setting) {
	case "password", "passfile", "sslpassword", "sslkey":
		return true
	}
	return false
}

// RedactDSN returns dsn, a URL or a keyword/value string, with its passwords
// replaced. What cannot be parsed is hidden whole.
func RedactDSN(dsn string) string {
	switch {
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		return redactURL(dsn)
	case strings.Contains(dsn, "://"):
		return "(not a PostgreSQL URL)"
	}
	return redactWords(dsn)
}

func redactURL(dsn string) string {
	u, err := url.Parse(dsn)
	// A '/', '?' or '#' that should have been escaped ends the password early:
	// its rest, and the '@' behind it, are then somewhere else.
	if err != nil || strings.Contains(u.EscapedPath()+u.RawQuery, "@") || strings.Contains(dsn, "#") {
		return "postgres://(unreadable)"
	}
	q := u.Query()
	for k := range q {
		if secret(strings.TrimSpace(k)) {
			q.Set(k, hidden)
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

// setting matches one setting at the beginning of a keyword/value string, as
// libpq reads it: its name, and its value in quotes or without, where a
// backslash takes away the meaning of what follows.
var setting = regexp.MustCompile(`(?s)^[\s\v]*([\w.$-]+)[\s\v]*=[\s\v]*('(?:[^'\\]|\\.)*'|(?:[^\s\v'\\]|\\.)(?:[^\s\v\\]|\\.)*|)(?:[\s\v]|$)`)

func redactWords(dsn string) string {
	var b strings.Builder
	for rest := dsn; strings.TrimSpace(rest) != ""; {
		m := setting.FindStringSubmatchIndex(rest)
		if m == nil {
			return "(unreadable)"
		}
		if secret(rest[m[2]:m[3]]) {
			b.WriteString(rest[:m[4]] + hidden + rest[m[5]:m[1]])
		} else {
			b.WriteString(rest[:m[1]])
		}
		rest = rest[m[1]:]
	}
	return b.String()
}

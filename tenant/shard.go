package tenant

import (
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
)

// Shard is one PostgreSQL database with its streaming replicas. Its printed,
// logged and formatted forms hide the passwords.
type Shard struct {
	Name     string
	Region   string
	Primary  string   // DSN, as pgx reads it
	Replicas []string // DSNs
}

// Validate reports what a shard lacks.
func (s Shard) Validate() error {
	if reason := badID(s.Name); reason != "" {
		return fmt.Errorf("shard name %s: %s", shown(s.Name), reason)
	}
	if s.Primary == "" {
		return fmt.Errorf("shard %s: no primary DSN", s.Name)
	}
	return nil
}

// String returns the shard without its secrets.
func (s Shard) String() string {
	hidden := make([]string, len(s.Replicas))
	for i, r := range s.Replicas {
		hidden[i] = RedactDSN(r)
	}
	return fmt.Sprintf("shard %s (region %q, primary %s, replicas [%s])",
		s.Name, s.Region, RedactDSN(s.Primary), strings.Join(hidden, ", "))
}

// GoString keeps %#v from printing passwords.
func (s Shard) GoString() string { return s.String() }

// LogValue keeps slog from printing passwords.
func (s Shard) LogValue() slog.Value { return slog.StringValue(s.String()) }

var keywordPassword = regexp.MustCompile(`(?i)(password|passfile|sslpassword|sslkey)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)`)

// RedactDSN returns dsn, a URL or a keyword/value string, with its passwords
// replaced. What cannot be parsed is hidden whole.
func RedactDSN(dsn string) string {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		u, err := url.Parse(dsn)
		if err != nil {
			return "postgres://(unreadable)"
		}
		q := u.Query()
		for k := range q {
			switch strings.ToLower(k) {
			case "password", "passfile", "sslpassword", "sslkey":
				q.Set(k, "xxxxx")
			}
		}
		u.RawQuery = q.Encode()
		return u.Redacted()
	}
	if strings.Contains(dsn, "://") {
		return "(not a PostgreSQL URL)"
	}
	return keywordPassword.ReplaceAllString(dsn, "$1=xxxxx")
}

package tenant

import (
	"encoding/json"
	"fmt"
	"log/slog"
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
	s = s.redacted()
	return fmt.Sprintf("shard %s (region %q, primary %s, replicas [%s])",
		s.Name, s.Region, s.Primary, strings.Join(s.Replicas, ", "))
}

// Format keeps every verb from printing passwords, %#v and %d included.
func (s Shard) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalJSON keeps JSON from showing passwords, as in the log of a list of
// shards. What it writes reads back as a shard without them.
func (s Shard) MarshalJSON() ([]byte, error) {
	type plain Shard
	return json.Marshal(plain(s.redacted()))
}

func (s Shard) redacted() Shard {
	replicas := make([]string, len(s.Replicas))
	for i, r := range s.Replicas {
		replicas[i] = RedactDSN(r)
	}
	s.Primary, s.Replicas = RedactDSN(s.Primary), replicas
	return s
}

// LogValue keeps slog from printing passwords.
func (s Shard) LogValue() slog.Value { return slog.StringValue(s.String()) }

package tenant

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxIDLen is the longest ID, in bytes. With SchemaPrefix it stays well below
// the 63 bytes after which PostgreSQL cuts an identifier without an error.
const MaxIDLen = 48

// SchemaPrefix starts the schema name that SchemaFor derives from an ID. It
// keeps tenants' schemas apart from every other schema of the database.
const SchemaPrefix = "tenant_"

// maxIdentifier is PostgreSQL's NAMEDATALEN - 1, in bytes.
const maxIdentifier = 63

// maxShown bounds how much of a rejected input an error repeats, in bytes.
const maxShown = 64

// ID names a tenant: 1 to MaxIDLen bytes of a-z, 0-9, '-' and '_', beginning
// and ending with a letter or digit. Obtain one with ParseID; NewContext
// checks again.
type ID string

// reservedIDs are names that mean something else to PostgreSQL or to us.
var reservedIDs = map[string]bool{
	"public": true, "information_schema": true, "shared": true, "tenancy": true,
}

// ParseID returns s as an ID, or an error that wraps ErrInvalidID and says
// which rule s breaks. It never folds or trims: what is not an ID as it
// stands is refused, because two spellings of one tenant are two tenants.
func ParseID(s string) (ID, error) {
	if reason := badID(s); reason != "" {
		return "", fmt.Errorf("%w %s: %s", ErrInvalidID, shown(s), reason)
	}
	return ID(s), nil
}

func badID(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case len(s) > MaxIDLen:
		return fmt.Sprintf("it has %d bytes, at most %d are allowed", len(s), MaxIDLen)
	}
	for i := range len(s) {
		c := s[i]
		if !isLowerAlnum(c) && c != '-' && c != '_' {
			return "only a-z, 0-9, '-' and '_' are allowed"
		}
	}
	switch {
	case !isLowerAlnum(s[0]) || !isLowerAlnum(s[len(s)-1]):
		return "it must begin and end with a letter or digit"
	case strings.HasPrefix(s, "pg_") || reservedIDs[s]:
		return "it is a reserved name"
	}
	return ""
}

func isLowerAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
}

// SchemaFor returns the schema name of a new tenant with this ID.
func SchemaFor(id ID) string { return SchemaPrefix + string(id) }

// reservedSchemas may never be a tenant's: they are shared or ours.
var reservedSchemas = map[string]bool{
	"public": true, "information_schema": true, "tenancy": true, "tenancy_fence": true,
	"$user": true, // in a path it is the schema of the role's name, also in quotes
}

// ParseSchema returns s if it may be a tenant's schema, as when a schema that
// exists already is adopted. Letters, digits, '_', '-', '$' and inner spaces
// are allowed, up to 63 bytes; PostgreSQL's own schemas, public and ours are
// not. The error wraps ErrInvalidSchema.
func ParseSchema(s string) (string, error) {
	if reason := badSchema(s); reason != "" {
		return "", fmt.Errorf("%w %s: %s", ErrInvalidSchema, shown(s), reason)
	}
	return s, nil
}

// ParseRole returns s if it may be a tenant's database role, or the login that takes
// it on: the rules are ParseSchema's. The error wraps ErrNoRole.
func ParseRole(s string) (string, error) {
	reason := badSchema(s)
	if s == "none" {
		reason = "it means no role"
	}
	if reason != "" {
		return "", fmt.Errorf("%w: role %s: %s", ErrNoRole, shown(s), reason)
	}
	return s, nil
}

func badSchema(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case len(s) > maxIdentifier:
		return fmt.Sprintf("it has %d bytes, PostgreSQL would cut it at %d", len(s), maxIdentifier)
	case s[0] == ' ' || s[len(s)-1] == ' ':
		return "it begins or ends with a space"
	}
	for i := range len(s) {
		if !isSchemaByte(s[i]) {
			return "only letters, digits, '_', '-', '$' and spaces are allowed"
		}
	}
	lower := strings.ToLower(s)
	if strings.HasPrefix(lower, "pg_") || reservedSchemas[lower] {
		return "it is reserved"
	}
	return ""
}

func isSchemaByte(c byte) bool {
	return isLowerAlnum(c) || c >= 'A' && c <= 'Z' || c == '_' || c == '-' || c == '$' || c == ' '
}

// QuoteIdent returns name as a quoted SQL identifier. It is the one place of
// the project that does so. A NUL byte, which PostgreSQL cannot store, is
// dropped.
func QuoteIdent(name string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(name, "\x00", ""), `"`, `""`) + `"`
}

// shown returns a rejected input for an error text: quoted, so that it cannot
// break a log line, and bounded.
func shown(s string) string {
	if len(s) > maxShown {
		return strconv.QuoteToASCII(s[:maxShown]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

package hostile

import (
	"slices"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	ids := IDs(1, 10_000)
	if len(ids) != 10_000 {
		t.Fatalf("made %d IDs, want 10000", len(ids))
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			t.Errorf("%q twice", id)
		}
		seen[id] = true
		if _, err := tenant.ParseID(id); err == nil {
			t.Errorf("%q is a valid ID", id)
		}
	}
	for _, part := range []string{"'", "\x00", "\r\n", "%2f", "%252f", "pg_", "public", "information_schema", "\u202e", "а", "\xff", "../", "DROP SCHEMA", "xn--", " ", "."} {
		if !slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(id, part) }) {
			t.Errorf("no ID with %q", part)
		}
	}
	for _, n := range []int{49, 63, 64, 65, 1000} {
		if !slices.ContainsFunc(ids, func(id string) bool { return len(id) == n }) {
			t.Errorf("no ID of %d bytes", n)
		}
	}
}

func TestIDsRepeat(t *testing.T) {
	t.Parallel()
	if !slices.Equal(IDs(7, 500), IDs(7, 500)) {
		t.Error("the same seed makes different IDs")
	}
	if slices.Equal(IDs(7, 500), IDs(8, 500)) {
		t.Error("different seeds make the same IDs")
	}
	if got := IDs(7, 3); len(got) != 3 {
		t.Errorf("IDs(7, 3) made %d", len(got))
	}
}

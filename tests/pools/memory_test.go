package pools

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// A backend remembers every table that it has seen. What one that serves all tenants in
// turn takes grows with them, unless it is replaced.
func TestBackendMemoryIsBounded(t *testing.T) {
	if _, err := private(os.Getpid()); err != nil {
		t.Skip("this system does not tell what a process takes alone: ", err)
	}
	f := newFleet(t, *touched, 1)
	grown := map[string]uint64{}
	for _, c := range []struct {
		what  string
		limit int
	}{{"never replaced", 1 << 30}, {fmt.Sprintf("replaced after %d tenants", *retire), *retire}} {
		first, most := f.touch(t, c.limit)
		grown[c.what] = most - first
		t.Logf("a connection, %s: its backend took %.1f MB with one tenant, and at most %.1f MB with %d", c.what, mega(first), mega(most), *touched)
	}
	all := grown["never replaced"]
	for what, n := range grown {
		if n != all && n > all/2 {
			t.Errorf("%s, it grew by %.1f MB, without that by %.1f", what, mega(n), mega(all))
		}
	}
	if len(grown) < 2 || all == 0 {
		t.Error("the memory did not grow: nothing was measured")
	}
}

// touch has one connection serve all tenants, and returns what its backend takes with the
// first, and at most.
func (f *fleet) touch(t *testing.T, limit int) (first, most uint64) {
	t.Helper()
	db, p := f.open(t, tenantplugin.WithPoolLimits(1, 0, limit), tenantplugin.WithConnBudget(1, 0))
	defer p.Close()
	every := max(*touched/100, 1)
	for i := range *touched {
		var items []Item
		if err := db.WithContext(tenant.NewContext(t.Context(), id(i))).Limit(3).Find(&items).Error; err != nil {
			t.Fatal(err)
		}
		if i > 0 && i%every != 0 && i != *touched-1 {
			continue
		}
		for _, pid := range f.backends(t) {
			n, err := private(pid)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = n
			}
			most = max(most, n)
		}
	}
	return first, most
}

// private returns the bytes that a process shares with no other.
func private(pid int) (n uint64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) < 2 || !bytes.HasPrefix(fields[0], []byte("Private_")) {
			continue
		}
		kilobytes, err := strconv.ParseUint(string(fields[1]), 10, 64)
		if err != nil {
			return 0, err
		}
		n += kilobytes << 10
	}
	return n, nil
}

func mega(n uint64) float64 { return float64(n) / (1 << 20) }

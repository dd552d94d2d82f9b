package tenanttest

import "testing"

func TestVain(t *testing.T) {
	t.Parallel()
	r := Report{ByKind: map[string]int64{}, Errors: map[string]int64{}}
	r.ByKind["first"], r.Errors["first"] = 50, 50
	r.ByKind["panic"], r.Errors["panic"] = 50, 50
	r.ByKind["raw"], r.Errors["raw"] = 50, 49
	if got := r.vain(); len(got) != 1 || got[0] != "first" {
		t.Errorf("%v", got)
	}
}

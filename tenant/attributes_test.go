package tenant_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestAttributes(t *testing.T) {
	t.Parallel()
	type plan struct {
		Seats int    `json:"seats"`
		Note  string `json:"note,omitempty"`
	}
	a, err := tenant.NewAttributes(plan{Seats: 3})
	if err != nil || a.String() != `{"seats":3}` {
		t.Fatalf("%s, %v", a, err)
	}
	var got plan
	if err := a.Decode(&got); err != nil || got.Seats != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	var none tenant.Attributes
	if err := none.Decode(&got); err != nil || none.Validate() != nil || none.String() != "{}" {
		t.Errorf("the zero value: %v, %q", err, none)
	}
	if a, err := tenant.NewAttributes(map[string]string(nil)); !errors.Is(err, tenant.ErrInvalidAttributes) {
		t.Errorf("null: %q, %v", a, err)
	}
	if _, err := tenant.NewAttributes(make(chan int)); !errors.Is(err, tenant.ErrInvalidAttributes) {
		t.Errorf("a channel: %v", err)
	}
	for _, bad := range []tenant.Attributes{
		"null", "[]", "1", `"x"`, "{", `{"a":1}}`, `{"a":"\u0000"}`, `{"a\U0000":1}`,
		tenant.Attributes(`{"a":"` + strings.Repeat("x", tenant.MaxAttributesLen) + `"}`),
	} {
		if err := bad.Validate(); !errors.Is(err, tenant.ErrInvalidAttributes) {
			t.Errorf("%.40s: %v", bad, err)
		}
	}
}

package pgscope

import (
	"fmt"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// inspect refuses text that would step out of its scope, and notes text that
// leaves something behind on the session.
func inspect(w *wire, text string) (sqltext.Facts, error) {
	facts := sqltext.Of(text)
	if why := facts.Escape(); why != "" {
		return facts, fmt.Errorf("%w: %s", tenant.ErrForbidden, why)
	}
	if facts.SessionState() {
		w.taint()
	}
	return facts, nil
}

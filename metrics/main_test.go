package metrics

import (
	"testing"

	"go.uber.org/goleak"
)

// race is whether the race detector runs.
var race bool

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

package wirecount_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

func testServer(t *testing.T) *server {
	t.Helper()
	s, err := openServer(t.Context(), pgtest.Any(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

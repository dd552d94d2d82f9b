package readme

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/tenanttest"
)

// cluster is what the examples run on: two shards, the first with a replica
// like the second.
var cluster *pgcluster.Cluster

func TestMain(m *testing.M) {
	ctx := context.Background()
	var err error
	if cluster, err = pgcluster.Start(ctx, pgcluster.Config{Shards: 2, Replicas: 1, InMemory: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	logger.Default = logger.Discard // the examples' errors are on purpose
	code := m.Run()
	if err := errors.Join(cluster.Stop(ctx), tenanttest.Stop(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	// GORM never stops the goroutine of a prepared statement store.
	if err := goleak.Find(goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1")); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// newDSN returns an empty database's.
func newDSN() string {
	dsn, err := cluster.NewDatabase(context.Background())
	check(err)
	return dsn
}

// legacy is a database in which an application keeps its customers in
// schemas already, one of them "old_customer".
func legacy() string {
	dsn := newDSN()
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{})
	check(err)
	check(db.Exec(`create schema old_customer`).Error)
	check(db.Exec(`create table old_customer.invoices (id bigserial primary key, amount bigint)`).Error)
	check(db.Exec(`insert into old_customer.invoices (amount) values (7), (8)`).Error)
	handle, err := db.DB()
	check(err)
	check(handle.Close())
	return dsn
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

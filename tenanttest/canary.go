package tenanttest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// canary is a row that says whose it is. Each tenant has the same IDs.
type canary struct {
	ID    int64
	Owner string
	N     int64
	Items []canaryItem `gorm:"foreignKey:CanaryID"`
}

func (canary) TableName() string { return "tenanttest_canaries" }

type canaryItem struct {
	ID       int64
	CanaryID int64
	Owner    string
}

func (canaryItem) TableName() string { return "tenanttest_items" }

// fixed is how many canaries each tenant always has, IDs 1 to fixed.
const fixed = 5

const layout = `
drop table if exists tenanttest_items, tenanttest_canaries;
create table tenanttest_canaries (id bigserial primary key, owner text not null, n bigint not null default 0);
create table tenanttest_items (id bigserial primary key, canary_id bigint not null, owner text not null);
insert into tenanttest_canaries (owner) select '%[1]s' from generate_series(1, %[2]d);
insert into tenanttest_items (canary_id, owner) select id, owner from tenanttest_canaries, generate_series(1, 2);
`

// canaryTable and canaryItemTable are the layout as models.
type canaryTable struct {
	ID    int64
	Owner string `gorm:"not null"`
	N     int64  `gorm:"not null;default:0"`
}

func (canaryTable) TableName() string { return "tenanttest_canaries" }

type canaryItemTable struct {
	ID       int64
	CanaryID int64  `gorm:"not null"`
	Owner    string `gorm:"not null"`
}

func (canaryItemTable) TableName() string { return "tenanttest_items" }

// Models returns the tables that Prove works on as models, for WithModels where
// ProveConfig.Strict is set.
func Models() []any { return []any{&canaryTable{}, &canaryItemTable{}} }

// fill is mark for tables that are there.
func fill(ctx context.Context, db *gorm.DB, ids []tenant.ID) error {
	if err := empty(ctx, db, ids); err != nil {
		return err
	}
	return each(ids, func(id tenant.ID) error {
		return db.WithContext(tenant.NewContext(ctx, id)).Transaction(func(tx *gorm.DB) error {
			return errors.Join(
				tx.Exec("insert into tenanttest_canaries (id, owner) select n, ? from generate_series(1, ?) n", string(id), fixed).Error,
				tx.Exec("insert into tenanttest_items (canary_id, owner) select id, owner from tenanttest_canaries, generate_series(1, 2)").Error,
				tx.Exec("select setval('tenanttest_canaries_id_seq', ?)", fixed).Error,
			)
		})
	})
}

// empty takes the canaries away, and leaves their tables.
func empty(ctx context.Context, db *gorm.DB, ids []tenant.ID) error {
	return each(ids, func(id tenant.ID) error {
		return db.WithContext(tenant.NewContext(ctx, id)).Exec("truncate tenanttest_items, tenanttest_canaries").Error
	})
}

// mark gives each tenant its canaries.
func mark(ctx context.Context, db *gorm.DB, ids []tenant.ID) error {
	return each(ids, func(id tenant.ID) error {
		// An ID has no quotes: ParseID saw it.
		if _, err := tenant.ParseID(string(id)); err != nil {
			return err
		}
		return db.WithContext(tenant.NewContext(ctx, id)).Exec(fmt.Sprintf(layout, id, fixed)).Error
	})
}

// audit counts the rows in every tenant's tables that are not its own.
func audit(ctx context.Context, db *gorm.DB, ids []tenant.ID) (foreign int64, err error) {
	err = each(ids, func(id tenant.ID) error {
		var n int64
		err := db.WithContext(tenant.NewContext(ctx, id)).Raw(
			`select (select count(*) from tenanttest_canaries where owner <> @id)
			      + (select count(*) from tenanttest_items where owner <> @id)
			      + abs((select count(*) from tenanttest_canaries where id <= @fixed) - @fixed)`,
			map[string]any{"id": string(id), "fixed": fixed}).Row().Scan(&n)
		if err == nil {
			foreign += n
		}
		return err
	})
	return foreign, err
}

// sweep drops the canaries.
func sweep(ctx context.Context, db *gorm.DB, ids []tenant.ID) error {
	return each(ids, func(id tenant.ID) error {
		return db.WithContext(tenant.NewContext(ctx, id)).Exec("drop table if exists tenanttest_items, tenanttest_canaries").Error
	})
}

// maxLost bounds how many dead connections one tenant may meet in a pool.
const maxLost = 100

// each runs fn, which may be repeated, for every tenant until the first error.
// Connections that Disturb has killed are met by whoever uses them next.
func each(ids []tenant.ID, fn func(tenant.ID) error) error {
	for _, id := range ids {
		err := fn(id)
		for tries := 0; lost(err) && tries < maxLost; tries++ {
			err = fn(id)
		}
		if err != nil {
			return fmt.Errorf("tenant %s: %w", id, err)
		}
	}
	return nil
}

// lost reports whether err is the end of a connection.
func lost(err error) bool {
	var pg *pgconn.PgError
	var network net.Error
	switch {
	case errors.As(err, &pg):
		return strings.HasPrefix(pg.Code, "57P")
	case errors.As(err, &network):
		return !network.Timeout()
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF)
}

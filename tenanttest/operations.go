package tenanttest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// op is one operation of a proof.
type op struct {
	p    *proof
	rnd  *rand.Rand
	id   tenant.ID
	kind string
	ctx  context.Context
	db   *gorm.DB // in ctx
}

// panics is the kind whose operations end in an error each.
const panics = "panic"

// several is the kind whose texts hold several statements.
const several = "several statements"

// names is the kind that names another tenant's schema.
const names = "another's by name"

// kinds are the operations, with how often each is drawn.
var kinds = []struct {
	name   string
	weight int
	run    func(*op) error
}{
	{"first", 10, (*op).first},
	{"raw", 8, (*op).raw},
	{"row", 5, (*op).row},
	{"preload", 6, (*op).preload},
	{"join", 6, (*op).join},
	{"count", 4, (*op).count},
	{"create", 6, (*op).create},
	{"update", 6, (*op).update},
	{"delete", 3, (*op).remove},
	{"batches", 2, (*op).batches},
	{several, 3, (*op).several},
	{"prepared session", 6, (*op).prepared},
	{"transaction", 6, (*op).transaction},
	{"savepoint", 5, (*op).savepoint},
	{"locking read", 3, (*op).locking},
	{"connection", 3, (*op).connection},
	{"set local", 2, (*op).setLocal},
	{"error", 3, (*op).fail},
	{panics, 2, (*op).panicking},
	{"cancel", 3, (*op).cancel},
	{"rows left open", 3, (*op).rowsLeftOpen},
	{"other tenant in tx", 3, (*op).trespass},
	{"no tenant", 2, (*op).noTenant},
	{leaves, 3, (*op).leave},
	{names, 3, (*op).byName},
}

var weights = func() (sum int) {
	for _, k := range kinds {
		sum += k.weight
	}
	return sum
}()

func pickKind(rnd *rand.Rand) int {
	n := rnd.IntN(weights)
	for i, k := range kinds {
		if n -= k.weight; n < 0 {
			return i
		}
	}
	return 0
}

// safely runs the operation and turns its panic into an error.
func (o *op) safely(run func(*op) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
			if o.kind != "panic" {
				o.p.t.Errorf("%s as %s: %v", o.kind, o.id, err)
			}
		}
	}()
	return run(o)
}

// saw checks rows' owners.
func (o *op) saw(owners ...string) {
	for _, owner := range owners {
		if owner == string(o.id) {
			continue
		}
		o.p.foreign.Add(1)
		if _, told := o.p.told.LoadOrStore(o.kind, true); !told {
			o.p.t.Errorf("%s: tenant %s saw a row of %q", o.kind, o.id, owner)
		}
	}
}

func (o *op) row1() int64 { return 1 + o.rnd.Int64N(fixed) }

func (o *op) first() error {
	var c canary
	if err := o.db.First(&c, o.row1()).Error; err != nil {
		return err
	}
	o.saw(c.Owner)
	return nil
}

func (o *op) raw() error {
	var owners []string
	err := o.db.Raw("select owner from tenanttest_canaries where id <= ? order by n limit 20", fixed).Scan(&owners).Error
	o.saw(owners...)
	return err
}

func (o *op) row() error {
	var owner string
	if err := o.db.Model(&canary{}).Select("owner").Where("id = ?", o.row1()).Row().Scan(&owner); err != nil {
		return err
	}
	o.saw(owner)
	return nil
}

func (o *op) preload() error {
	var all []canary
	err := o.db.Preload("Items").Where("id <= ?", fixed).Find(&all).Error
	for _, c := range all {
		o.saw(c.Owner)
		for _, i := range c.Items {
			o.saw(i.Owner)
		}
	}
	return err
}

func (o *op) join() error {
	var pairs []struct{ A, B string }
	err := o.db.Table("tenanttest_canaries AS c").Select("c.owner a, i.owner b").
		Joins("join tenanttest_items i on i.canary_id = c.id").Where("c.id <= ?", fixed).Limit(10).Scan(&pairs).Error
	for _, p := range pairs {
		o.saw(p.A, p.B)
	}
	return err
}

func (o *op) count() error {
	var n int64
	if err := o.db.Model(&canary{}).Where("id <= ? and owner = ?", fixed, string(o.id)).Count(&n).Error; err != nil {
		return err
	}
	if n != fixed {
		o.saw(fmt.Sprintf("%d of %d canaries", n, fixed))
	}
	return nil
}

func (o *op) create() error {
	c := canary{Owner: string(o.id), Items: []canaryItem{{Owner: string(o.id)}}}
	return o.db.Create(&c).Error
}

func (o *op) update() error {
	return o.db.Model(&canary{}).Where("id = ?", o.row1()).
		Updates(map[string]any{"n": gorm.Expr("n + 1"), "owner": string(o.id)}).Error
}

func (o *op) remove() error {
	return o.db.Where("id > ? and n >= 0", fixed).Where("id in (?)",
		o.db.Model(&canary{}).Select("id").Where("id > ?", fixed).Order("id desc").Limit(3)).Delete(&canary{}).Error
}

func (o *op) batches() error {
	rows := make([]canaryItem, 7)
	for i := range rows {
		rows[i] = canaryItem{CanaryID: fixed + 1, Owner: string(o.id)}
	}
	return o.db.CreateInBatches(rows, 3).Error
}

func (o *op) several() error {
	return o.db.Exec("update tenanttest_canaries set n = n + 1 where id = 1; update tenanttest_items set canary_id = canary_id where id = 1").Error
}

func (o *op) prepared() error {
	var c canary
	db := o.db.Session(&gorm.Session{PrepareStmt: true})
	if err := db.First(&c, o.row1()).Error; err != nil {
		return err
	}
	o.saw(c.Owner)
	return db.Transaction(func(tx *gorm.DB) error {
		c = canary{}
		err := tx.First(&c, o.row1()).Error
		if err == nil {
			o.saw(c.Owner)
		}
		return err
	})
}

// errUndo rolls back on purpose.
var errUndo = errors.New("undo")

func (o *op) transaction() error {
	err := o.db.Transaction(func(tx *gorm.DB) error {
		var c canary
		if err := tx.First(&c, o.row1()).Error; err != nil {
			return err
		}
		o.saw(c.Owner)
		if err := tx.Model(&c).Update("n", gorm.Expr("n + 1")).Error; err != nil {
			return err
		}
		if o.rnd.IntN(3) == 0 {
			return errUndo
		}
		return nil
	})
	return unless(err, errUndo)
}

func (o *op) savepoint() error {
	err := o.db.Transaction(func(tx *gorm.DB) error {
		inner := tx.Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&canary{Owner: "undone"}).Error; err != nil {
				return err
			}
			return errUndo
		})
		if !errors.Is(inner, errUndo) {
			return inner
		}
		var c canary
		if err := tx.First(&c, o.row1()).Error; err != nil {
			return err
		}
		o.saw(c.Owner)
		return nil
	})
	return unless(err, errUndo)
}

func (o *op) locking() error {
	var owners []string
	err := o.db.Raw("select owner from tenanttest_canaries where id = ? for update skip locked;", o.row1()).Scan(&owners).Error
	o.saw(owners...)
	return err
}

func (o *op) connection() error {
	return o.db.Connection(func(tx *gorm.DB) error {
		for range 2 {
			var c canary
			if err := tx.Session(&gorm.Session{}).First(&c, o.row1()).Error; err != nil {
				return err
			}
			o.saw(c.Owner)
		}
		return nil
	})
}

func (o *op) setLocal() error {
	return o.db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("set local lock_timeout = '2s'").Error; err != nil {
			return err
		}
		var c canary
		if err := tx.First(&c, o.row1()).Error; err != nil {
			return err
		}
		o.saw(c.Owner)
		return nil
	})
}

func (o *op) fail() error {
	broken := []string{"select nonsense", "selec 1", "insert into tenanttest_canaries (id, owner) values (1, 'twice')", "select 1/0"}
	text := broken[o.rnd.IntN(len(broken))]
	if o.rnd.IntN(2) == 0 {
		if err := o.db.Exec(text).Error; err == nil {
			return fmt.Errorf("%q did not fail", text)
		}
		return nil
	}
	err := o.db.Transaction(func(tx *gorm.DB) error {
		tx.Exec(text) // an application that ignores the error
		return nil
	})
	if err == nil {
		return fmt.Errorf("a transaction with %q was committed", text)
	}
	return nil
}

func (o *op) panicking() error {
	return o.db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&canary{Owner: "undone"}).Error; err != nil {
			return err
		}
		panic("on purpose")
	})
}

func (o *op) cancel() error {
	ctx, cancel := context.WithTimeout(o.ctx, time.Duration(o.rnd.IntN(3000))*time.Microsecond)
	defer cancel()
	var owners []string
	err := o.p.db.WithContext(ctx).Raw(
		"select owner from tenanttest_canaries, pg_sleep(0.001) where id <= ?", fixed).Scan(&owners).Error
	if n := len(owners); err != nil && n > 0 && owners[n-1] == "" {
		owners = owners[:n-1] // GORM appends the row on which Scan failed, unfilled; no canary lacks its owner
	}
	o.saw(owners...)
	return unless(err, context.DeadlineExceeded)
}

func (o *op) rowsLeftOpen() error {
	ctx, cancel := context.WithCancel(o.ctx)
	defer cancel() // what closes them in the end
	rows, err := o.p.db.WithContext(ctx).Model(&canary{}).Where("id <= ?", fixed).Rows()
	if err != nil {
		return err
	}
	if rows.Next() {
		var c canary
		if err := o.p.db.ScanRows(rows, &c); err != nil {
			return err
		}
		o.saw(c.Owner)
	}
	return o.first()
}

func (o *op) trespass() error {
	other := o.other()
	err := o.db.Transaction(func(tx *gorm.DB) error {
		if o.rnd.IntN(2) == 0 {
			if err := tx.Create(&canary{Owner: "undone"}).Error; err != nil {
				return err
			}
		}
		var c canary
		if err := tx.WithContext(tenant.NewContext(o.ctx, other)).First(&c, o.row1()).Error; err == nil {
			o.p.trespasses.Add(1)
		}
		return nil // an application that ignores the error
	})
	if err == nil {
		o.p.trespasses.Add(1)
	}
	return nil
}

func (o *op) noTenant() error {
	db := o.p.db.WithContext(context.Background())
	var n int64
	for _, err := range []error{
		db.Model(&canary{}).Count(&n).Error,
		db.Exec("update tenanttest_canaries set n = 0").Error,
		db.Raw("select count(*) from tenanttest_canaries").Row().Scan(&n),
		db.Transaction(func(tx *gorm.DB) error { return tx.Exec("select 1").Error }),
		db.Connection(func(tx *gorm.DB) error { return tx.Raw("select 1").Row().Scan(&n) }),
		db.Connection(func(tx *gorm.DB) error { return tx.Raw("select 1").Scan(&n).Error }),
	} {
		if err == nil {
			o.p.tenantless.Add(1)
		}
	}
	return nil
}

// unless returns err, nil if it is the expected one.
func unless(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

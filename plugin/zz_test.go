package tenantplugin_test
import ("testing"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
	)
func TestZZ(t *testing.T){
	for _, inConfig := range []bool{false,true} {
	db, err := gorm.Open(postgres.Open(tenantplugin.Database(t, pgtest.Any(t))), &gorm.Config{Logger: logger.Discard, PrepareStmt: inConfig})
	ok(t,err)
	before := db.Session(&gorm.Session{PrepareStmt:true, Context: t.Context()})
	var s string
	ok(t, before.Raw("select current_schema()").Scan(&s).Error)
	p := tenantplugin.New(tenantplugin.WithModels(&User{}, &Pet{}))
	ok(t,db.Use(p))
	_, err = p.Registry().Create(t.Context(), tenant.Spec{ID: "acme"})
	ok(t,err)
	own := before.WithContext(tenant.NewContext(t.Context(), "acme"))
	t.Log(own.Raw("select current_schema()").Scan(&s).Error, s)
	t.Log(own.Raw("select current_schema()").Scan(&s).Error, s)
	t.Log(own.Raw("select current_schema() as x").Scan(&s).Error, s)
	t.Log(before.Raw("select current_schema()").Scan(&s).Error, s)
	t.Log(db.WithContext(tenant.NewContext(t.Context(), "acme")).Raw("select current_schema()").Scan(&s).Error, s)
	t.Log(db.Session(&gorm.Session{PrepareStmt:true, Context: tenant.NewContext(t.Context(), "acme")}).Raw("select current_schema()").Scan(&s).Error, s)
	t.Log(own.Begin().Error)
	p.Close()
	}
}

package doctor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

var churnRecipe = registry.Recipe{Name: "churn", Version: 1}

// What others do meanwhile is nothing that is wrong.
func TestChurnIsNoFinding(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 2, load(t, one))
	l.SetRecipe(churnRecipe)
	l.SetScript(churnRecipe.Name, func(schema string) string {
		script, _ := load(t, one).Script()
		return fmt.Sprintf("SELECT set_config('search_path', '%s', true); %s", schema, script)
	})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := tenant.ID(fmt.Sprintf("churn-%d-%d", g, n))
				err := l.churn(ctx, id)
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 12 {
		l.examine(Options{})
	}
	stop()
	wg.Wait()
	l.examine(Options{})
}

// churn is a tenant's whole life.
func (l *lab) churn(ctx context.Context, id tenant.ID) error {
	_, err := l.Create(ctx, tenant.Spec{ID: id})
	if err == nil {
		err = l.Suspend(ctx, id)
	}
	if err == nil {
		_, err = l.RenameSchema(ctx, id, "renamed_"+string(id))
	}
	if gone := l.Delete(context.WithoutCancel(ctx), id); gone != nil && !errors.Is(gone, tenant.ErrUnknown) {
		return gone
	}
	return err
}

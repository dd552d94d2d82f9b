package main

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const adoptions = 8 // at a time

// installPlugin is the installer of the plugin, as an application that has
// only its own database uses it. The tenants' schemas are adopted.
func installPlugin(ctx context.Context, db *gorm.DB, specs []tenant.Spec) (func(), error) {
	p := tenantplugin.New()
	if err := db.Use(p); err != nil {
		return nil, fmt.Errorf("use the plugin: %w", err)
	}
	stop := func() { p.Close() }
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(adoptions)
	for _, s := range specs {
		group.Go(func() error {
			_, err := p.Registry().Adopt(ctx, s)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		stop()
		return nil, fmt.Errorf("adopt tenants: %w", err)
	}
	return stop, nil
}

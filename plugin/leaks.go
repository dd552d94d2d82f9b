package tenantplugin

import "github.com/gormtenancy/gormtenancy/resolver"

// Leaks returns who has held a connection for longer than WithLeakDetection allows, with
// the line of the application that asked for it. Nil without that option.
func (p *Plugin) Leaks() []resolver.Holder {
	p.mu.Lock()
	router := p.router
	p.mu.Unlock()
	if router == nil {
		return nil
	}
	return router.Leaks()
}

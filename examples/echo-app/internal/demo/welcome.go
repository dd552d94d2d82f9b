package demo

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/server"
	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// welcome tells what runs where and what to try. Its URLs and commands work as
// they are printed.
func welcome(ctx context.Context, out io.Writer, reg *registry.Registry, cluster *pgcluster.Cluster, addr string, took time.Duration) error {
	fmt.Fprintf(out, "Ready after %.1f s.\n\n", took.Seconds())
	if err := list(ctx, out, reg, cluster); err != nil {
		return err
	}
	base := "http://" + addr
	say := func(lines ...string) {
		for _, l := range lines {
			fmt.Fprintf(out, "    %s\n", l)
		}
		fmt.Fprintln(out)
	}
	curl := func(id, path string) string {
		return fmt.Sprintf("curl -s -H '%s: %s' '%s%s'", server.TenantHeader, id, base, path)
	}
	fmt.Fprintf(out, "Serving on %s (metrics: %s/metrics, health: %s/healthz and /readyz)\n\n", base, base, base)
	fmt.Fprintln(out, "The same ID, another tenant, another row:")
	say(curl("acme", "/api/products/1"), curl("globex", "/api/products/1"))
	fmt.Fprintln(out, "Where a tenant lives, and where its reads go:")
	say(curl("acme", "/api/whereami"), curl("globex", "/api/whereami"))
	fmt.Fprintln(out, "Search, and a report over joins in raw SQL:")
	say(curl("hooli", "/api/products?q=laptop"), curl("initech", "/api/reports/sales?from=2026-01-01&to=2026-03-31"))
	fmt.Fprintln(out, "Place an order, in one transaction:")
	say(fmt.Sprintf(`curl -s -H '%s: umbrella' -H 'Content-Type: application/json' -d '{"customer_id": 1, "lines": [{"product_id": 1, "quantity": 2}]}' '%s/api/orders'`,
		server.TenantHeader, base))
	fmt.Fprintln(out, "No tenant, one that does not exist, and one that is suspended:")
	say(fmt.Sprintf("curl -s '%s/api/orders'", base), curl("nobody", "/api/orders"), curl(string(Suspended), "/api/orders"))
	fmt.Fprintln(out, "A tenant of tier free may send 5 requests a second; then it is told to wait (429):")
	say(fmt.Sprintf("curl -s -D - -o /dev/null -H '%s: %s' '%s/api/products/1#[1-8]'", server.TenantHeader, Limited, base))
	fmt.Fprintln(out, "The operator's side; vandelay serves after it:")
	say(fmt.Sprintf("export GORMTENANCY_DSN='%s'", cluster.Control.DSN), "go run ./cmd/tenantctl tenant list",
		"go run ./cmd/tenantctl tenant resume "+string(Suspended), "go run ./cmd/tenantctl tenant events "+string(Suspended))
	fmt.Fprintln(out, "Ctrl-C stops everything.")
	return nil
}

// list prints the shards and the tenants on each.
func list(ctx context.Context, out io.Writer, reg *registry.Registry, cluster *pgcluster.Cluster) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tPRIMARY\tREPLICA\tTENANTS")
	for i, s := range cluster.Shards() {
		tenants, err := reg.List(ctx, registry.Filter{Shard: shardNames[i], State: tenant.StateActive})
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s", shardNames[i], address(s.Primary.DSN))
		for _, r := range s.Replicas {
			fmt.Fprintf(w, "\t%s", address(r.DSN))
		}
		sep := "\t"
		for _, t := range tenants {
			fmt.Fprintf(w, "%s%s", sep, t.ID)
			sep = ", "
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "control\t%s\n\n", address(cluster.Control.DSN))
	return w.Flush()
}

// address returns a DSN's host and port, and nothing secret.
func address(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "unknown"
	}
	return u.Host
}

package server_test

import (
	"fmt"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Two tenants with the same IDs on the same shard, and a third on the other:
// each sees its own rows through every endpoint, and changes no other's.
func TestSameIDsDifferentRows(t *testing.T) {
	t.Parallel()
	all := map[tenant.ID]client{
		"ACM": seeded(t, "shard-1", "acme"), "GLX": seeded(t, "shard-1", "globex"), "INI": seeded(t, "shard-2", "initech"),
	}
	domain := map[tenant.ID]string{"ACM": "acme", "GLX": "globex", "INI": "initech"}
	for prefix, c := range all {
		t.Run(string(prefix), func(t *testing.T) {
			t.Parallel()
			c := client{t, c.id}
			sku := func(n int) string { return fmt.Sprintf("%s-%03d", prefix, n) }
			if p := c.get("/api/products/7"); p["sku"] != sku(7) {
				t.Errorf("product 7 of %s is %v", prefix, p)
			}
			for i, p := range items(c.get("/api/products?limit=100")) {
				if p["sku"] != sku(i+1) || p["id"] != float64(i+1) {
					t.Errorf("product %d in the list of %s is %v", i+1, prefix, p)
				}
			}
			if n := len(items(c.get("/api/customers?limit=100&q=%40" + domain[prefix] + ".example"))); n != 60 {
				t.Errorf("%s has %d customers of its own, want 60", prefix, n)
			}
			for _, o := range items(c.get("/api/orders?limit=100")) {
				for _, l := range o["lines"].([]any) {
					p := l.(object)["product"].(object)
					if p["sku"] != sku(int(p["id"].(float64))) {
						t.Errorf("an order of %s has product %v", prefix, p)
					}
				}
			}
			for _, s := range c.get("/api/reports/sales?from=2026-01-01&to=2026-06-30")["rows"].([]any) {
				row := s.(object)
				if row["sku"] != sku(int(row["product_id"].(float64))) {
					t.Errorf("the report of %s has %v", prefix, row)
				}
			}
		})
	}
}

func TestWritesStayWithTheirTenant(t *testing.T) {
	t.Parallel()
	a, b := seeded(t, "shard-1", "acme"), seeded(t, "shard-1", "globex")
	before := b.get("/api/products/1")
	a.ask("PATCH", "/api/products/1", `{"name": "changed"}`, 200)
	a.ask("POST", "/api/products/1/stock", `{"delta": 5}`, 200)
	a.ask("POST", "/api/orders", `{"customer_id": 1, "lines": [{"product_id": 1, "quantity": 1}]}`, 201)
	a.ask("DELETE", "/api/orders/301", "", 405)
	if after := b.get("/api/products/1"); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("another tenant's product was %v and is %v", before, after)
	}
	b.ask("GET", "/api/orders/301", "", 404)
	if got := a.get("/api/products/1")["name"]; got != "changed" {
		t.Errorf("the name is %v", got)
	}
}

func TestReadsGoToTheShardsReplica(t *testing.T) {
	t.Parallel()
	nodes := map[any]string{}
	for _, shard := range []string{"shard-1", "shard-2"} {
		c := newTenant(t, shard)
		// Until the replica has what the tenant wrote last, its reads stay on
		// the primary; this one says that it wants the replica.
		w := c.get("/api/whereami")
		reads, writes := w["reads"].(object), w["writes"].(object)
		if w["shard"] != shard || w["tenant"] != string(c.id) {
			t.Errorf("tenant %s is said to be %v on %v, want %s", c.id, w["tenant"], w["shard"], shard)
		}
		if schema := "tenant_" + string(c.id); reads["schema"] != schema || writes["schema"] != schema {
			t.Errorf("the schemas are %v and %v, want %s", reads["schema"], writes["schema"], schema)
		}
		if writes["role"] != "primary" {
			t.Errorf("writes go to %v", writes)
		}
		eventually(t, "reads on the replica", func() bool {
			reads = c.get("/api/whereami")["reads"].(object)
			return reads["role"] == "replica"
		})
		for _, p := range []object{reads, writes} {
			if other := nodes[p["node"]]; other != "" {
				t.Errorf("%s and %s share node %v", shard, other, p["node"])
			}
			nodes[p["node"]] = shard
		}
		eventually(t, "the list on the replica, by the access log", func() bool {
			id := rid()
			c.askWithID(id, "/api/orders")
			return desk.log.records(t, id)[0]["db_nodes"] == shard+"/replica-0"
		})
	}
}

func TestWhatWasWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	c := newTenant(t, "shard-2")
	for i := range 50 {
		p := c.ask("POST", "/api/products", fmt.Sprintf(`{"sku": "S%d", "name": "x", "price_cents": 1, "stock": 1}`, i), 201)
		c.get(fmt.Sprintf("/api/products/%v", p["id"]))
	}
}

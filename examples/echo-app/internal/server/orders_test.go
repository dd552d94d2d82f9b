package server_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

func TestPlaceAndCancel(t *testing.T) {
	t.Parallel()
	c := newTenant(t, "shard-1")
	c.ask("POST", "/api/customers", `{"name": "Ada", "email": "ada@example.com", "city": "London"}`, 201)
	c.ask("POST", "/api/products", `{"sku": "A", "name": "Anvil", "price_cents": 1250, "stock": 10}`, 201)
	c.ask("POST", "/api/products", `{"sku": "B", "name": "Bird seed", "price_cents": 3, "stock": 4}`, 201)

	o := c.ask("POST", "/api/orders", `{"customer_id": 1, "lines": [{"product_id": 2, "quantity": 4}, {"product_id": 1, "quantity": 3}]}`, 201)
	if o["total_cents"] != float64(3*1250+4*3) || o["status"] != "placed" {
		t.Errorf("placed %v", o)
	}
	stock(c, 1, 7)
	stock(c, 2, 0)
	// A higher price changes no order that was placed.
	c.ask("PATCH", "/api/products/1", `{"price_cents": 9999}`, 200)
	o = c.get("/api/orders/1")
	if o["total_cents"] != 3762.0 || o["customer"].(object)["name"] != "Ada" || len(o["lines"].([]any)) != 2 {
		t.Errorf("the order is %v", o)
	}
	p := c.ask("POST", "/api/orders", `{"customer_id": 1, "lines": [{"product_id": 1, "quantity": 1}, {"product_id": 2, "quantity": 1}]}`, 409)
	if p["code"] != "out_of_stock" || p["errors"].([]any)[0].(object)["message"] != "product 2 (B): 1 wanted, 0 in stock" {
		t.Errorf("the refusal is %v", p)
	}
	stock(c, 1, 7) // nothing of the refused order was taken

	if o = c.ask("POST", "/api/orders/1/cancel", "", 200); o["status"] != "cancelled" || o["cancelled_at"] == nil {
		t.Errorf("cancelled %v", o)
	}
	stock(c, 1, 10)
	stock(c, 2, 4)
	if p := c.ask("POST", "/api/orders/1/cancel", "", 409); p["code"] != "not_placed" {
		t.Errorf("the second cancellation: %v", p)
	}
	stock(c, 1, 10)
	c.ask("POST", "/api/orders/2/cancel", "", 404)
}

func stock(c client, product int, want float64) {
	c.t.Helper()
	if got := c.get(fmt.Sprintf("/api/products/%d", product))["stock"]; got != want {
		c.t.Errorf("product %d: %v in stock, want %v", product, got, want)
	}
}

// Many orders for the same two products at the same time, in both orders of
// lines: all of the stock is sold, none twice, and nobody waits for ever.
func TestParallelOrdersNeverOversell(t *testing.T) {
	t.Parallel()
	c := newTenant(t, "shard-2")
	c.ask("POST", "/api/customers", `{"name": "Ada", "email": "ada@example.com", "city": "London"}`, 201)
	for _, sku := range []string{"A", "B"} {
		c.ask("POST", "/api/products", `{"sku": "`+sku+`", "name": "x", "price_cents": 1, "stock": 40}`, 201)
	}
	var placed atomic.Int64
	together(60, func(i int) {
		first, second := 1+i%2, 2-i%2
		w := c.do("POST", "/api/orders", fmt.Sprintf(
			`{"customer_id": 1, "lines": [{"product_id": %d, "quantity": 1}, {"product_id": %d, "quantity": 1}]}`, first, second))
		switch w.Code {
		case http.StatusCreated:
			placed.Add(1)
		case http.StatusConflict:
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	if placed.Load() != 40 {
		t.Errorf("%d orders were placed for a stock of 40", placed.Load())
	}
	stock(c, 1, 0)
	stock(c, 2, 0)

	var cancelled atomic.Int64
	together(8, func(int) {
		if c.do("POST", "/api/orders/1/cancel", "").Code == http.StatusOK {
			cancelled.Add(1)
		}
	})
	if cancelled.Load() != 1 {
		t.Errorf("one order was cancelled %d times", cancelled.Load())
	}
	stock(c, 1, 1)
}

// together runs fn n times at once and waits.
func together(n int, fn func(int)) {
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			fn(i)
		})
	}
	close(begin)
	wg.Wait()
}

func TestOrderFilters(t *testing.T) {
	t.Parallel()
	c := seeded(t, "shard-1", "acme")
	seen, path, last := 0, "/api/orders?limit=100", 1e9
	for path != "" {
		page := c.get(path)
		for _, o := range items(page) {
			if id := o["id"].(float64); id >= last {
				t.Fatalf("order %v comes after %v", id, last)
			} else {
				last, seen = id, seen+1
			}
		}
		path = ""
		if next, ok := page["next"].(float64); ok {
			path = fmt.Sprintf("/api/orders?limit=100&after=%.0f", next)
		}
	}
	if seen != 300 {
		t.Errorf("the pages have %d orders, want 300", seen)
	}
	cancelled := items(c.get("/api/orders?limit=100&status=cancelled"))
	if len(cancelled) == 0 || len(cancelled) == 100 {
		t.Errorf("%d orders are cancelled", len(cancelled))
	}
	for _, o := range cancelled {
		if o["status"] != "cancelled" {
			t.Errorf("among the cancelled: %v", o)
		}
	}
	for _, o := range items(c.get("/api/orders?limit=100&from=2026-02-01&to=2026-02-28&customer_id=1")) {
		if at := o["placed_at"].(string); at[:7] != "2026-02" || o["customer_id"] != 1.0 {
			t.Errorf("among February's of customer 1: %v", o)
		}
	}
}

// The report adds up what the orders say.
func TestReportAgreesWithOrders(t *testing.T) {
	t.Parallel()
	c := seeded(t, "shard-2", "hooli")
	want, after := 0.0, ""
	for {
		page := c.get("/api/orders?limit=100&status=placed&from=2026-03-01&to=2026-03-31" + after)
		for _, o := range items(page) {
			want += o["total_cents"].(float64)
		}
		next, more := page["next"].(float64)
		if !more {
			break
		}
		after = fmt.Sprintf("&after=%.0f", next)
	}
	r := c.get("/api/reports/sales?from=2026-03-01&to=2026-03-31")
	if want == 0 || r["revenue_cents"] != want {
		t.Errorf("the report says %v, the orders %v", r["revenue_cents"], want)
	}
	for _, row := range r["rows"].([]any) {
		if row.(object)["month"] != "2026-03" {
			t.Errorf("March's report has %v", row)
		}
	}
}

package server_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestCustomers(t *testing.T) {
	t.Parallel()
	c := newTenant(t, "shard-1")
	w := c.do("POST", "/api/customers", `{"name": "Zoë O'Neil", "email": "zoe@example.com", "city": "100% _\\ Town"}`)
	if w.Code != 201 || w.Header().Get("Location") != "/api/customers/1" {
		t.Fatalf("%d %s, location %q", w.Code, w.Body, w.Header().Get("Location"))
	}
	for i := range 5 {
		c.ask("POST", "/api/customers", fmt.Sprintf(`{"name": "N%d", "email": "n%d@example.com", "city": "1000 towns"}`, i, i), 201)
	}
	if x := c.get("/api/customers/1"); x["name"] != "Zoë O'Neil" {
		t.Errorf("got %v", x)
	}
	// What is special to LIKE, SQL or Go is nothing but text to search for.
	for q, want := range map[string]int{"zoë": 1, "0% _": 1, `_\ `: 1, "O'N": 1, "%": 1, "example.com": 6, "'; drop table customers; --": 0} {
		if got := len(items(c.get("/api/customers?q=" + url.QueryEscape(q)))); got != want {
			t.Errorf("%q finds %d, want %d", q, got, want)
		}
	}
	page := c.get("/api/customers?limit=4")
	if len(items(page)) != 4 || page["next"] != 4.0 {
		t.Errorf("the first page is %v", page)
	}
	page = c.get("/api/customers?limit=4&after=4")
	if len(items(page)) != 2 || page["next"] != nil {
		t.Errorf("the last page is %v", page)
	}
	x := c.ask("PATCH", "/api/customers/2", `{"city": "Lyon"}`, 200)
	if x["city"] != "Lyon" || x["name"] != "N0" || x["updated_at"] == x["created_at"] {
		t.Errorf("changed to %v", x)
	}
	c.ask("DELETE", "/api/customers/2", "", 204)
	for _, method := range []string{"GET", "DELETE"} {
		if p := c.ask(method, "/api/customers/2", "", 404); p["code"] != "not_found" {
			t.Errorf("%s: %v", method, p)
		}
	}
	c.ask("PATCH", "/api/customers/2", `{"city": "Lyon"}`, 404)
	if p := c.ask("POST", "/api/customers", `{"name": "Twin", "email": "zoe@example.com", "city": "Oslo"}`, 409); p["code"] != "duplicate" {
		t.Errorf("a second customer of this address: %v", p)
	}
}

func TestProducts(t *testing.T) {
	t.Parallel()
	c := newTenant(t, "shard-2")
	c.ask("POST", "/api/products", `{"sku": "A-1", "name": "Anvil", "price_cents": 8900, "stock": 2}`, 201)
	c.ask("POST", "/api/products", `{"sku": "B-1", "name": "Bird seed", "price_cents": 0, "stock": 0}`, 201)
	if got := items(c.get("/api/products?q=b-1")); len(got) != 1 || got[0]["name"] != "Bird seed" {
		t.Errorf("found %v", got)
	}
	if got := items(c.get("/api/products?in_stock=true")); len(got) != 1 || got[0]["sku"] != "A-1" {
		t.Errorf("in stock: %v", got)
	}
	if x := c.ask("POST", "/api/products/1/stock", `{"delta": -2}`, 200); x["stock"] != 0.0 {
		t.Errorf("after taking 2: %v", x)
	}
	if p := c.ask("POST", "/api/products/1/stock", `{"delta": -1}`, 409); p["code"] != "out_of_stock" {
		t.Errorf("after taking one more: %v", p)
	}
	c.ask("POST", "/api/products/9/stock", `{"delta": 1}`, 404)
	p := c.ask("PATCH", "/api/products/1", `{"stock": 5}`, 422)
	if f := p["errors"].([]any)[0].(object); f["field"] != "stock" {
		t.Errorf("setting the stock: %v", p)
	}
	if p := c.ask("PATCH", "/api/products/1", `{"sku": "B-1"}`, 409); p["code"] != "duplicate" {
		t.Errorf("another's SKU: %v", p)
	}
	c.ask("DELETE", "/api/products/2", "", 204)
}

func TestWhatIsReferredToStays(t *testing.T) {
	t.Parallel()
	c := seeded(t, "shard-1", "umbrella")
	customer := c.get("/api/orders/1")["customer_id"]
	for _, path := range []string{fmt.Sprintf("/api/customers/%v", customer), "/api/products/1"} {
		if p := c.ask("DELETE", path, "", 409); p["code"] != "in_use" {
			t.Errorf("%s: %v", path, p)
		}
	}
}

// Every refusal says which field is at fault.
func TestProblems(t *testing.T) {
	t.Parallel()
	c := newTenant(t, "shard-1")
	long := strings.Repeat("x", 101)
	for _, x := range []struct {
		request, body string
		status        int
		code, fields  string
	}{
		{"POST /api/customers", `{}`, 422, "invalid", "name email city"},
		{"POST /api/customers", `{"name": " ", "email": "nobody", "city": "a\u0000b"}`, 422, "invalid", "name email city"},
		{"POST /api/customers", `{"name": "` + long + `", "email": "a@b.c", "city": "x"}`, 422, "invalid", "name"},
		{"POST /api/customers", `{"name": "x", "email": "A <a@b.c>", "city": "x"}`, 422, "invalid", "email"},
		{"POST /api/customers", `{"name": 7}`, 400, "bad_request", "name"},
		{"POST /api/customers", `{"id": 7}`, 400, "bad_request", "id"},
		{"POST /api/customers", `{"name": "x"`, 400, "bad_request", "body"},
		{"POST /api/customers", `[]`, 400, "bad_request", "body"},
		{"POST /api/customers", `{} {}`, 400, "bad_request", "body"},
		{"PATCH /api/customers/1", `{}`, 422, "invalid", "body"},
		{"GET /api/customers/x", ``, 400, "bad_request", "id"},
		{"GET /api/customers/-1", ``, 400, "bad_request", "id"},
		{"GET /api/customers/99999999999999999999", ``, 400, "bad_request", "id"},
		{"GET /api/customers?limit=0&after=x", ``, 400, "bad_request", "limit after"},
		{"GET /api/customers?q=%00", ``, 400, "bad_request", "q"},
		{"GET /api/customers?q=%ff", ``, 400, "bad_request", "q"},
		{"GET /api/products?in_stock=maybe", ``, 400, "bad_request", "in_stock"},
		{"POST /api/products", `{"sku": "x", "name": "x", "price_cents": -1, "stock": 1000000001}`, 422, "invalid", "price_cents stock"},
		{"POST /api/products", `{"sku": "x", "name": "x", "price_cents": 1.5, "stock": 1}`, 400, "bad_request", "price_cents"},
		{"POST /api/products/1/stock", `{}`, 422, "invalid", "delta"},
		{"POST /api/orders", `{}`, 422, "invalid", "customer_id lines"},
		{
			"POST /api/orders", `{"customer_id": 1, "lines": [{"product_id": 1, "quantity": 0}, {"product_id": 1, "quantity": 1}, {}]}`, 422, "invalid",
			"lines[0].quantity lines[1].product_id lines[2].product_id lines[2].quantity",
		},
		{"POST /api/orders", `{"customer_id": 1, "lines": [{"product_id": 1, "quantity": 1}]}`, 422, "invalid", "customer_id"},
		{"GET /api/orders?status=lost&from=1.1.2026", ``, 400, "bad_request", "status from"},
		{"GET /api/orders/1", ``, 404, "not_found", ""},
		{"GET /api/reports/sales?from=2026-02-01&to=2026-01-01", ``, 400, "bad_request", "from"},
		{"GET /api/reports/sales?from=1900-01-01&to=2026-01-01", ``, 400, "bad_request", "from"},
		{"GET /api/nothing", ``, 404, "not_found", ""},
		{"PUT /api/customers", `{}`, 405, "method_not_allowed", ""},
		{"POST /api/customers", `{"name": "` + strings.Repeat("x", 70_000) + `"}`, 413, "request_entity_too_large", ""},
	} {
		method, path, _ := strings.Cut(x.request, " ")
		p := c.ask(method, path, x.body, x.status)
		var fields []string
		if errs, ok := p["errors"].([]any); ok {
			for _, e := range errs {
				fields = append(fields, e.(object)["field"].(string))
			}
		}
		if p["code"] != x.code || p["status"] != float64(x.status) || strings.Join(fields, " ") != x.fields {
			t.Errorf("%s %.60s\n got %v\nwant %s %q", x.request, x.body, p, x.code, x.fields)
		}
	}
	if allow := c.do("PUT", "/api/customers", "").Header().Get("Allow"); !strings.Contains(allow, "POST") {
		t.Errorf("a wrong method is told to use %q", allow)
	}
	// The customer is there, the product is not.
	c.ask("POST", "/api/customers", `{"name": "Ada", "email": "ada@example.com", "city": "London"}`, 201)
	p := c.ask("POST", "/api/orders", `{"customer_id": 1, "lines": [{"product_id": 5, "quantity": 1}]}`, 422)
	if f := p["errors"].([]any)[0].(object); f["field"] != "lines" || f["message"] != "product 5 does not exist" {
		t.Errorf("an unknown product: %v", p)
	}
}

package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// sale is what one product brought in one month.
type sale struct {
	Month        string `json:"month"` // 2026-03
	ProductID    int64  `json:"product_id"`
	SKU          string `gorm:"column:sku" json:"sku"`
	Name         string `json:"name"`
	Orders       int64  `json:"orders"`
	Units        int64  `json:"units"`
	RevenueCents int64  `json:"revenue_cents"`
}

type salesReport struct {
	From         string `json:"from"`
	To           string `json:"to"`
	RevenueCents int64  `json:"revenue_cents"`
	Rows         []sale `json:"rows"`
}

// salesQuery is plain SQL without a word about tenants: the schema is the one
// that the context names.
const salesQuery = `
SELECT to_char(date_trunc('month', o.placed_at AT TIME ZONE 'UTC'), 'YYYY-MM') AS month,
       p.id AS product_id, p.sku, p.name,
       count(DISTINCT o.id) AS orders,
       sum(l.quantity)::bigint AS units,
       sum(l.quantity * l.unit_cents)::bigint AS revenue_cents
  FROM orders o
  JOIN order_lines l ON l.order_id = o.id
  JOIN products p ON p.id = l.product_id
 WHERE o.status = 'placed' AND o.placed_at >= ? AND o.placed_at < ?
 GROUP BY 1, p.id
 ORDER BY month, revenue_cents DESC, p.id`

// maxReportDays bounds the work of one report.
const maxReportDays = 3 * 366

// salesReport answers with the sales per month and product from the day from
// to the day to, both included; without them, the last 365 days.
func (a *API) salesReport(c echo.Context) error {
	q := queryOf(c)
	to := q.day("to", time.Now().UTC().Truncate(24*time.Hour))
	from := q.day("from", to.AddDate(0, 0, -364))
	if days := to.Sub(from).Hours() / 24; len(q.errs) == 0 && (days < 0 || days > maxReportDays) {
		q.fail("from", "is not within %d days before to", maxReportDays)
	}
	if err := q.err(); err != nil {
		return err
	}
	r := salesReport{From: from.Format(time.DateOnly), To: to.Format(time.DateOnly), Rows: []sale{}}
	if err := a.db(c).Raw(salesQuery, from, to.AddDate(0, 0, 1)).Scan(&r.Rows).Error; err != nil {
		return err
	}
	for _, s := range r.Rows {
		r.RevenueCents += s.RevenueCents
	}
	return c.JSON(http.StatusOK, r)
}

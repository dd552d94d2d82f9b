package metrics_test

import (
	"fmt"
	"time"

	"github.com/gormtenancy/gormtenancy/metrics"
)

func ExampleCollector() {
	c := metrics.New(metrics.Config{Top: 20})
	for _, customer := range []string{"Smith", "O'Hara"} {
		c.Observe(&metrics.Statement{
			Tenant: "acme", Shard: "eu-1", Kind: metrics.KindRead, Duration: 3 * time.Millisecond, Rows: 2, RoundTrips: 1,
			Text: "SELECT * FROM invoices WHERE customer = '" + customer[:1] + "' AND id IN (1, 2, 3)",
		})
	}
	c.Record("acme", metrics.KindWrite, time.Millisecond, 1) // what happens outside GORM
	for _, s := range c.Top(10, metrics.ByTime) {
		fmt.Println(s.Tenant, s.Shard, s.Usage.Count(), "statements,", s.Usage.Time)
		fmt.Println(s.Queries[0].Count, s.Queries[0].Text)
	}
	// Output:
	// acme eu-1 3 statements, 7ms
	// 2 select * from invoices where customer = ? and id in (?)
}

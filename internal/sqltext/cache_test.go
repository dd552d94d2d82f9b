package sqltext

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestCacheAnswersAsClassify(t *testing.T) {
	t.Parallel()
	var cache Cache
	texts := append(readOnly, notReadOnly...)
	for i := range 3 * slotsCached {
		texts = append(texts, fmt.Sprintf("SELECT %d", i), fmt.Sprintf("DELETE FROM t WHERE id = %d", i))
	}
	texts = append(texts, strings.Repeat(" ", maxCached)+"SELECT 1")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, text := range texts {
				for range 2 {
					if got, want := cache.Classify(text), Classify(text); got != want {
						t.Errorf("%.50s: %b, want %b", text, got, want)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestCacheKeepsTwoTextsOfOneSlotAndNoLongOnes(t *testing.T) {
	t.Parallel()
	var cache Cache
	long := "SELECT 1 " + strings.Repeat(" ", maxCached)
	cache.Classify(long)
	for i := range 1000 {
		cache.Classify(fmt.Sprintf("SELECT %d", i))
	}
	kept := 0
	for i := range cache.slots {
		if c := cache.slots[i].Load(); c != nil {
			if kept++; c.text == long {
				t.Error("a text over the limit was kept")
			}
		}
	}
	if kept < 900 {
		t.Errorf("of 1,000 texts only %d are kept", kept)
	}
}

func TestNoAllocation(t *testing.T) {
	var cache Cache
	for _, text := range append(readOnly, notReadOnly...) {
		cache.Classify(text)
		if n := testing.AllocsPerRun(10, func() { Classify(text) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
	text := readOnly[0]
	if n := testing.AllocsPerRun(10, func() { cache.Classify(text) }); n != 0 {
		t.Errorf("%v allocations for a text that is kept", n)
	}
}

var ordinary = map[string]string{
	"first":  `SELECT * FROM "users" WHERE "users"."id" = $1 AND "users"."deleted_at" IS NULL ORDER BY "users"."id" LIMIT $2`,
	"insert": `INSERT INTO "users" ("created_at","updated_at","deleted_at","name","age") VALUES ($1,$2,$3,$4,$5) RETURNING "id"`,
	"update": `UPDATE "users" SET "name"=$1,"updated_at"=$2 WHERE "users"."deleted_at" IS NULL AND "id" = $3`,
	"report": `WITH m AS (SELECT date_trunc('month', o.created_at) AS month, sum(l.price * l.quantity) AS total FROM orders o JOIN lines l ON l.order_id = o.id GROUP BY 1) SELECT month, total, sum(total) OVER (ORDER BY month) FROM m WHERE total > $1`,
	"batch":  `INSERT INTO "users" ("name","age") VALUES ` + strings.Repeat(`($1,$2),`, 999) + `($1,$2)`,
}

func BenchmarkClassify(b *testing.B) {
	for name, text := range ordinary {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				Classify(text)
			}
		})
	}
}

func BenchmarkCache(b *testing.B) {
	var cache Cache
	text := ordinary["first"]
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			cache.Classify(text)
		}
	})
}

package structure

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
)

// byObject matches a condition that finds what belongs to one object.
var byObject = regexp.MustCompile(`(oid|objid|relid|class|tgrelid|indrelid|typid) = ([a-z]+\.|ANY)`)

// No query may look at the whole of a catalog.
func TestPlansGoByIndexes(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		conn := connect(t, s.Database(t))
		make1(t, conn, "here", everything)
		execute(t, conn, begin)
		one := []uint32{1}
		for sql, args := range map[string][]any{
			namespacesSQL: {one}, relationsSQL: {one, VersionTable}, tablesSQL: {one, one}, viewsSQL: {one, one}, columnsSQL: {one, one},
			indexesSQL: {one, one}, constraintsSQL: {one, one}, triggersSQL: {one, one}, rulesSQL: {one, one}, policiesSQL: {one, one},
			sequencesSQL: {one, one}, typesSQL: {one}, functionsSQL: {one}, othersSQL: {one},
		} {
			rows, err := conn.Query(t.Context(), "EXPLAIN "+sql, args...)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
			for _, line := range lines {
				if strings.Contains(line, "Index Cond") && !byObject.MatchString(line) {
					t.Errorf("%s\n%s", sql, line)
				}
			}
			if plan := strings.Join(lines, "\n"); strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, "Index") {
				t.Errorf("%s\n%s", sql, plan)
			}
		}
	})
}

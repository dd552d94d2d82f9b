package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"
)

// The sizes of a page, in rows.
const (
	defaultLimit = 20
	maxLimit     = 100
)

// query reads the parameters of a request and collects what is wrong.
type query struct {
	values url.Values
	errs   []FieldError
}

func queryOf(c echo.Context) *query { return &query{values: c.QueryParams()} }

func (q *query) fail(name, format string, args ...any) {
	q.errs = append(q.errs, FieldError{name, fmt.Sprintf(format, args...)})
}

func (q *query) err() error {
	if len(q.errs) > 0 {
		return badRequest(q.errs...)
	}
	return nil
}

// number returns a parameter of least to most, or def if it is not there.
func (q *query) number(name string, def, least, most int64) int64 {
	text := q.values.Get(name)
	if text == "" {
		return def
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		q.fail(name, "is no number between %d and %d", least, most)
	}
	return n
}

// flag returns a parameter that is true or false.
func (q *query) flag(name string) bool {
	return q.choice(name, "", "true", "false") == "true"
}

// choice returns one of the values that are allowed.
func (q *query) choice(name string, allowed ...string) string {
	v := q.values.Get(name)
	if !slices.Contains(allowed, v) {
		q.fail(name, "is none of %s", strings.TrimPrefix(strings.Join(allowed, ", "), ", "))
	}
	return v
}

// day returns the beginning of a day in UTC, or def if it is not there.
func (q *query) day(name string, def time.Time) time.Time {
	text := q.values.Get(name)
	if text == "" {
		return def
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1 {
		q.fail(name, "is no day such as 2026-03-31")
	}
	return t
}

// pattern returns the text to search for as a LIKE pattern, or "".
func (q *query) pattern(name string) string {
	text := q.values.Get(name)
	if utf8.RuneCountInString(text) > 100 || !printable(text) {
		q.fail(name, "is no text of at most 100 characters")
	}
	if text == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

// page is a list's answer. Next is the cursor of the following page, the value
// for the parameter after; it is missing on the last one.
type page[T any] struct {
	Items []T   `json:"items"`
	Next  int64 `json:"next,omitempty"`
}

// list answers with one page in the order of IDs, which name the rows that db
// selects; newest makes it start with the highest. Pages are found by key, not
// by offset, so that a row that comes or goes shifts none.
func list[T any](c echo.Context, q *query, db *gorm.DB, newest bool, id func(T) int64) error {
	limit := q.number("limit", defaultLimit, 1, maxLimit)
	after := q.number("after", 0, 0, 1<<62)
	if err := q.err(); err != nil {
		return err
	}
	order, beyond := "id", "id > ?"
	if newest {
		order, beyond = "id desc", "id < ?"
	}
	if after > 0 {
		db = db.Where(beyond, after)
	}
	p := page[T]{Items: []T{}}
	// One more than asked for tells whether there is another page.
	if err := db.Order(order).Limit(int(limit) + 1).Find(&p.Items).Error; err != nil {
		return err
	}
	if len(p.Items) > int(limit) {
		p.Items = p.Items[:limit]
		p.Next = id(p.Items[limit-1])
	}
	return c.JSON(http.StatusOK, p)
}

package portable

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"reflect"
)

// rows gives a foreign pool's *sql.Rows to database/sql once more.
type rows struct {
	inner *sql.Rows
	names []string
	types []*sql.ColumnType
	cells []any
	end   func() error // ends the statement's own transaction
}

func newRows(inner *sql.Rows) (*rows, error) {
	names, err := inner.Columns()
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	types, err := inner.ColumnTypes()
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	r := &rows{inner: inner, names: names, types: types, cells: make([]any, len(names))}
	for i := range r.cells {
		r.cells[i] = new(any)
	}
	return r, nil
}

// Columns implements driver.Rows.
func (r *rows) Columns() []string { return r.names }

// Next implements driver.Rows.
func (r *rows) Next(dest []driver.Value) error {
	if !r.inner.Next() {
		if err := r.inner.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	if err := r.inner.Scan(r.cells...); err != nil {
		return err
	}
	for i, c := range r.cells {
		dest[i] = *c.(*any)
	}
	return nil
}

// Close ends the statement's transaction too.
func (r *rows) Close() error {
	err := r.inner.Close()
	if r.end != nil {
		err = errors.Join(err, r.end())
		r.end = nil
	}
	return err
}

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return r.types[i].DatabaseTypeName() }

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if t := r.types[i].ScanType(); t != nil {
		return t
	}
	return reflect.TypeFor[any]()
}

// ColumnTypeLength implements driver.RowsColumnTypeLength.
func (r *rows) ColumnTypeLength(i int) (int64, bool) { return r.types[i].Length() }

// ColumnTypeNullable implements driver.RowsColumnTypeNullable.
func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) { return r.types[i].Nullable() }

// ColumnTypePrecisionScale implements driver.RowsColumnTypePrecisionScale.
func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	return r.types[i].DecimalSize()
}

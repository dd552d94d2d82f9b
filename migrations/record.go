package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pressly/goose/v3/database"
)

// recorder is a database/sql driver that executes nothing and keeps what it was
// given. goose reads the files and runs them on it: so what a file means is what
// goose says, and is known without a database.
type recorder struct {
	texts []string
	inTx  bool
	// bare is whether something was executed outside a transaction.
	bare bool
}

var errRecorder = errors.New("this migration asks the database something: only statements can be recorded")

// Connect implements driver.Connector.
func (r *recorder) Connect(context.Context) (driver.Conn, error) { return r, nil }

// Driver implements driver.Connector.
func (r *recorder) Driver() driver.Driver { return nil }

// Prepare implements driver.Conn.
func (r *recorder) Prepare(string) (driver.Stmt, error) { return nil, errRecorder }

// Close implements driver.Conn.
func (r *recorder) Close() error { return nil }

// Begin implements driver.Conn.
func (r *recorder) Begin() (driver.Tx, error) {
	r.inTx = true
	return r, nil
}

// Commit implements driver.Tx.
func (r *recorder) Commit() error {
	r.inTx = false
	return nil
}

// Rollback implements driver.Tx.
func (r *recorder) Rollback() error { return r.Commit() }

// QueryContext implements driver.QueryerContext.
func (r *recorder) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, errRecorder
}

// ExecContext implements driver.ExecerContext.
func (r *recorder) ExecContext(_ context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	for _, a := range slices.Backward(args) { // $10 before $1
		literal, err := literal(a.Value)
		if err != nil {
			return nil, err
		}
		text = strings.ReplaceAll(text, fmt.Sprintf("$%d", a.Ordinal), literal)
	}
	// A comment at the end would swallow what follows it.
	r.texts = append(r.texts, strings.TrimRight(strings.TrimSpace(text), ";")+"\n;")
	r.bare = r.bare || !r.inTx
	return driver.ResultNoRows, nil
}

// literal writes what goose's own statements have as parameters.
func literal(v driver.Value) (string, error) {
	switch v := v.(type) {
	case int64, bool:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("%w: a parameter of type %T", errRecorder, v)
}

// memoryStore is goose's table of versions as long as there is no database: what
// is written there is recorded, what is read comes from memory.
type memoryStore struct {
	database.Store
	made    bool
	applied []int64
}

func (s *memoryStore) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	s.made = true
	return s.Store.CreateVersionTable(ctx, db)
}

func (s *memoryStore) Insert(ctx context.Context, db database.DBTxConn, req database.InsertRequest) error {
	s.applied = append(s.applied, req.Version)
	return s.Store.Insert(ctx, db, req)
}

func (s *memoryStore) GetMigration(_ context.Context, _ database.DBTxConn, version int64) (*database.GetMigrationResult, error) {
	if slices.Contains(s.applied, version) {
		return &database.GetMigrationResult{IsApplied: true}, nil
	}
	return nil, database.ErrVersionNotFound
}

func (s *memoryStore) GetLatestVersion(context.Context, database.DBTxConn) (int64, error) {
	if len(s.applied) == 0 {
		return 0, database.ErrVersionNotFound
	}
	return slices.Max(s.applied), nil
}

func (s *memoryStore) ListMigrations(context.Context, database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	var all []*database.ListMigrationsResult
	for _, v := range slices.Backward(s.applied) {
		all = append(all, &database.ListMigrationsResult{Version: v, IsApplied: true})
	}
	return all, nil
}

// TableExists implements database.StoreExtender.
func (s *memoryStore) TableExists(context.Context, database.DBTxConn) (bool, error) {
	return s.made, nil
}

var _ database.StoreExtender = (*memoryStore)(nil)

// recorded returns a database that is a recorder.
func recorded() (*sql.DB, *recorder) {
	r := &recorder{}
	db := sql.OpenDB(r)
	db.SetMaxOpenConns(1)
	return db, r
}

package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/pressly/goose/v3/database"
)

// tape is a database that executes nothing and keeps what it was told. goose
// plays each file to it once, so that goose's own rules for files hold here.
type tape struct {
	statements []string
	tx         bool
	applied    bool // what goose is told of the version that it plays
}

var errTapeReads = errors.New("a migration file cannot be read while it is recorded")

func (t *tape) open() *sql.DB { return sql.OpenDB(tapeConnector{t}) }

type tapeConnector struct{ tape *tape }

func (c tapeConnector) Connect(context.Context) (driver.Conn, error) { return tapeConn(c), nil }
func (c tapeConnector) Driver() driver.Driver                        { return nil }

type tapeConn struct{ tape *tape }

var _ driver.ExecerContext = tapeConn{}

func (c tapeConn) ExecContext(_ context.Context, text string, _ []driver.NamedValue) (driver.Result, error) {
	c.tape.statements = append(c.tape.statements, text)
	return driver.RowsAffected(0), nil
}

func (c tapeConn) Begin() (driver.Tx, error)           { c.tape.tx = true; return c, nil }
func (c tapeConn) Prepare(string) (driver.Stmt, error) { return nil, errTapeReads }
func (c tapeConn) Commit() error                       { return nil }
func (c tapeConn) Rollback() error                     { return nil }
func (c tapeConn) Close() error                        { return nil }

// tapeStore answers goose's questions about versions.
type tapeStore struct{ tape *tape }

var _ database.Store = tapeStore{}

func (tapeStore) Tablename() string                                                  { return versionTable }
func (tapeStore) CreateVersionTable(context.Context, database.DBTxConn) error        { return nil }
func (tapeStore) Delete(context.Context, database.DBTxConn, int64) error             { return nil }
func (tapeStore) GetLatestVersion(context.Context, database.DBTxConn) (int64, error) { return 0, nil }

func (tapeStore) Insert(context.Context, database.DBTxConn, database.InsertRequest) error {
	return nil
}

func (tapeStore) ListMigrations(context.Context, database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	return nil, nil
}

func (s tapeStore) GetMigration(_ context.Context, _ database.DBTxConn, version int64) (*database.GetMigrationResult, error) {
	if version == 0 || s.tape.applied {
		return &database.GetMigrationResult{IsApplied: true}, nil
	}
	return nil, database.ErrVersionNotFound
}

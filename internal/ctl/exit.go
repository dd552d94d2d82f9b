package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/internal/doctor"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Interrupted is the exit code of a command that was interrupted.
const Interrupted = 130

// The other exit codes. The root's help tells of them.
const (
	codeDone = iota
	codeFailed
	codeUsage
	codeMissing
	codeRefused
	codePartly
	codeUnreachable
	codeUnconfirmed
)

const exitHelp = `Exit codes:
    0  done
    1  failed
    2  wrong usage: flags, arguments, a malformed ID or name
    3  no such tenant, shard, schema or name
    4  refused: it exists already, or its state does not allow it
    5  partly done, or the doctor found something: the report says what
    6  the control plane cannot be reached, or has not been made (tenantctl init)
    7  not confirmed
  130  interrupted`

var (
	errUnconfirmed = errors.New("not confirmed")
	errMissing     = errors.New("nothing of that name")
	errRefused     = errors.New("refused")
	errPartly      = errors.New("partly done")
	errFindings    = errors.New("not healthy")
)

// usageError is what is wrong with the command line.
type usageError struct{ error }

// Unwrap returns the error.
func (e usageError) Unwrap() error { return e.error }

func usage(err error) error { return usageError{err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// conditions map errors to exit codes. The first that matches decides.
var conditions = []struct {
	code   int
	errors []error
}{
	{codePartly, []error{errPartly, errFindings}},
	{codeUsage, []error{
		tenant.ErrInvalidID, tenant.ErrInvalidSchema, tenant.ErrInvalidAttributes, registry.ErrInvalidName, registry.ErrInvalidTier,
		quota.ErrInvalidLimits,
		migrations.ErrNoMigrations, migrations.ErrVersion,
	}},
	{codeMissing, []error{tenant.ErrUnknown, tenant.ErrUnknownShard, registry.ErrNoShard, registry.ErrNoSchema, errMissing}},
	{codeRefused, []error{
		tenant.ErrExists, registry.ErrSchemaExists, registry.ErrState, registry.ErrNameTaken, registry.ErrShardInUse, registry.ErrSameDatabase,
		registry.ErrNoArchive, registry.ErrDamaged, registry.ErrEntangled, registry.ErrChanged, registry.ErrNotCopyable,
		registry.ErrQuarantineFull, registry.ErrNotQuarantined, errRefused,
	}},
	{codeUnreachable, []error{tenant.ErrUnavailable}},
	{codeUnconfirmed, []error{errUnconfirmed}},
}

func exitCode(err error) int {
	var partial *migrations.PartialError
	var unseen *doctor.PartialError
	if errors.As(err, &partial) || errors.As(err, &unseen) {
		return codePartly
	}
	var wrong usageError
	if errors.As(err, &wrong) {
		return codeUsage
	}
	for _, c := range conditions {
		if slices.ContainsFunc(c.errors, func(target error) bool { return errors.Is(err, target) }) {
			return c.code
		}
	}
	return codeFailed
}

// failure is the JSON form of an error, on standard error.
type failure struct {
	Error string `json:"error"`
	Code  int    `json:"code"`           // the exit code
	Hint  string `json:"hint,omitempty"` // what to do
}

// complain prints an error.
func (a *app) complain(cmd *cobra.Command, args []string, err error, code int) {
	text, advice := strings.TrimSpace(err.Error()), adviceOn(err)
	if a.output == formatJSON || !a.ran && wantsJSON(args) {
		_ = json.NewEncoder(a.env.Stderr).Encode(failure{text, code, advice}) // nobody is left to be told
		return
	}
	fmt.Fprintf(a.env.Stderr, "%s: %s\n", program, text)
	if advice != "" {
		fmt.Fprintf(a.env.Stderr, "%s\n", advice)
	}
	if code == codeUsage {
		fmt.Fprintf(a.env.Stderr, "See %s --help\n", cmd.CommandPath())
	}
}

// wantsJSON finds -o json where the flags could not be read.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		switch arg {
		case "--output=json", "-o=json", "-ojson":
			return true
		case "--output", "-o":
			if i+1 < len(args) && args[i+1] == formatJSON {
				return true
			}
		}
	}
	return false
}

// Package migrations brings the schemas of a fleet of tenants to one version, by
// goose files, SQL and Go; and it holds the SQL of the control plane, and applies it.
//
// # The tenants' schemas
//
// goose itself says what a file means: Load has it play each file once to a database
// that only takes notes. Run sends a tenant's pending versions, one after the other,
// as one message in one transaction, together with the rows of goose's own table in
// the tenant's schema. That table is the truth: goose by itself goes on where Run
// stopped, and the other way round. The registry's version is a copy, by which an
// up-to-date tenant costs no query at all.
//
// Run promises that
//   - whatever ends it, a crash too, each tenant has a version in full: none in
//     between, and none twice (files that say NO TRANSACTION excepted, whose
//     failure is ErrNotUndone);
//   - one process at a time works on a tenant: under its lock in the control plane,
//     and under an advisory lock on its shard, of the transaction or, where a step is
//     none, of the session;
//   - statements do not wait for locks longer than Options.LockTimeout, so that the
//     application does not queue up behind them; the tenant is tried again later;
//   - rings come one after the other, and no further tenant is begun once more
//     failed than Options.MaxFailures;
//   - the report holds what the servers confirmed.
//
// # The control plane's
//
// ApplyControl promises that however many processes start at once, each file
// is applied once (an advisory lock of the control database orders them), that
// every object comes to stand inside the one given schema and nowhere else,
// and that a start with nothing left to do needs no right to create anything.
//
// The files name no schema: the search path of the run does. A file that was
// released is never changed; a change is a new file.
package migrations

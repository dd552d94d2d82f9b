// Package ctl is tenantctl's commands, one file each, over packages registry,
// migrations and internal/doctor. Run executes a command line with the streams that it is given, so
// that tests do so too.
//
// It promises that
//   - standard output holds the result and nothing else: a table, or with
//     "-o json" one document whose field names (lower snake case; the structs with
//     json tags in this package) stay what they are. Errors, questions and progress
//     go to standard error;
//   - the exit code says what happened (exit.go);
//   - what destroys asks first, and without a terminal or --yes is refused; no command
//     deletes tenants that are due, which is the application's business;
//   - with --dry-run the control plane and the tenants' schemas stay as they are;
//     only what plays migrations (migrate plan, doctor --migrations) makes a schema, of
//     its own, and drops it;
//   - no output holds a password, and only init makes or changes the control
//     plane's tables;
//   - when its context ends, what is under way ends in order, and the report of
//     what was done is still printed.
//
// It decides nothing about tenants: what is allowed and what it means is the
// registry's business.
package ctl

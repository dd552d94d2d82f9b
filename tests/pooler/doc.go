// Package pooler runs the plugin behind PgBouncer in transaction mode: the
// proof of isolation, and what does not work there. It needs the program
// pgbouncer; without it, its tests are skipped.
//
// It has no code besides its tests.
package pooler

// Package structure reads from PostgreSQL's catalog what schemas are made of, and
// compares them: tables and their columns, indexes, constraints, sequences, views,
// functions, triggers, types, row security.
//
// It promises that
//   - two schemas of the same structure have the same Fingerprint, whatever they are
//     called, whoever made them and in whichever order, on PostgreSQL 15 and 18;
//     the order of a table's columns counts;
//   - Diff names what was changed and nothing that follows from it: of a table that
//     is missing, not its columns;
//   - many schemas are read per round trip (Read), each object by an index of the
//     catalog, whatever else the database holds.
//
// The texts of definitions are PostgreSQL's own, written while the search path is
// the schema itself: what is in it has no qualifier, and what is elsewhere has one.
// So no name is ever replaced in a text. A function's body is compared as it
// stands: one that writes out its schema's name differs from tenant to tenant.
//
// Not structure are rows, the values of sequences, comments, owners, privileges,
// tablespaces, and the table in which goose keeps a schema's version.
package structure

// Package pgdsn reads connection strings, URLs and keyword/value ones, as libpq
// and pgx take them. No error of its repeats the text, which may hold a
// password. It connects to nothing.
package pgdsn

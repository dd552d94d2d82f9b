// Package migrations holds the SQL of the control plane, as goose files, and
// applies it; and it reads the goose files of an application's tenant schemas.
//
// A Set promises that what it says of files is what goose makes of them: goose
// itself runs them on a recorder at Load. Where no file says NO TRANSACTION, Script is
// one message that makes a new tenant's schema, goose's own table included.
//
// ApplyControl promises that however many processes start at once, each file
// is applied once (an advisory lock of the control database orders them), that
// every object comes to stand inside the one given schema and nowhere else,
// and that a start with nothing left to do needs no right to create anything.
//
// The files name no schema: the search path of the run does. A file that was
// released is never changed; a change is a new file.
//
// It does not migrate schemas that tenants have already.
package migrations

// Package hostile makes tenant IDs that somebody would send to break in: for
// the tests of everything that takes an ID from outside.
//
// Every ID it makes is one that tenant.ParseID has to refuse. What arrives
// need not be what was sent, though: HTTP trims spaces around a header, a host
// name has no case, and in a path a '?' ends the ID. What is left of an ID
// then is a valid one that begins with [Stem], so a test should have no tenant
// of such a name, and expect 400 or 404.
//
// The same seed makes the same IDs. It sends nothing.
package hostile

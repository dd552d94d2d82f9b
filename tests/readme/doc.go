// Package readme keeps the README true: its Go code is taken from the examples
// here, which run against real servers, and a test compares the two.
//
// It has no code besides its tests.
package readme

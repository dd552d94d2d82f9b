// Package layout checks what the house's rules say of the source itself: what
// may import what, how long files and functions are, that every package and
// every export is documented, and where contexts come from.
//
// It has no code besides its tests. The linter (.golangci.yml) looks at imports
// one by one, as it edits; here is what packages link in the end.
package layout

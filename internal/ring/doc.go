// Package ring proposes a shard for a new tenant: consistent hashing with
// bounded loads, by github.com/buraksezer/consistent over xxHash.
//
// It promises that equal sets of members propose the same for the same key, in
// every process and in whatever order the members are given; that no member
// owns more than 1.25 times the average share of the key space; and that a
// member's coming or going changes the proposal for little more than the keys
// that it wins or loses.
//
// It is pure: no I/O, no clock, no state beyond what New computed. It knows
// nothing of where tenants really live: a proposal is made once, and the
// registry's record decides ever after.
package ring

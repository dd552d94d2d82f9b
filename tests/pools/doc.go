// Package pools proves that an application never opens more connections than its budget,
// whoever wants some on however many shards, by what the server itself shows.
package pools

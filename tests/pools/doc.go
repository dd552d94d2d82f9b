// Package pools proves, by what the server itself shows, that an application never opens
// more connections than its budget, whoever wants some on however many shards, and that
// the memory of its connections' backends stays bounded however many tenants it serves.
package pools

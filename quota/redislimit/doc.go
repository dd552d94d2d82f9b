// Package redislimit holds the token buckets that processes share in a Redis
// server (version 5 or newer), by GCRA, the generic cell rate algorithm. Use it
// as
//
//	quota.New(quota.Config{Source: reg, Shared: redislimit.New(redisURL)})
//
// It promises that nobody waits for Redis: a question is given up after
// Timeout, a few in a row that fail open a breaker, and then nobody asks until
// a trial in the background went well. The Governor decides by itself meanwhile.
//
// A bucket is one key with a number, which goes away when the bucket is full.
// What Redis loses refills the buckets, and no more. Time is Redis's, so that
// the processes' clocks do not matter. It keeps no data of a tenant's but its
// ID, in the key. Redis Cluster is not supported.
package redislimit

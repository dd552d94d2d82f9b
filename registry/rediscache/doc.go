// Package rediscache is a second level of memory for package registry, in a
// Redis server (version 5 or newer) that processes share: a tenant that one
// process asked the control plane for is known to all. Use it as
//
//	registry.Open(ctx, registry.Config{DSN: control, Cache: rediscache.New(redisURL)})
//
// It promises that
//   - nobody waits for Redis: a question is given up after Timeout, a few in a
//     row, or the loss of the subscription, open a breaker, and then nobody
//     asks until a trial in the background went well; everything else happens
//     in the background, in bounded queues;
//   - what was read before a change is not stored after it. Whoever finds
//     nothing gets a lease, and the answer is taken only while the lease is
//     there. A change takes lease or value away; so do an eviction, FLUSHALL
//     and a restart, so that what Redis loses makes it refuse, never believe;
//   - from the moment a process makes or hears of a change, it believes nothing
//     that Redis says of the tenant until Redis was told;
//   - where a process may have failed to tell Redis something (the breaker
//     opened, the connection that listens to the control plane was lost), it
//     starts a new generation, in which nothing older can be reached by anyone,
//     before it uses Redis again, and does without until that succeeds;
//   - a value is believed for registry.Config.TTL after it was asked for, by
//     Redis's clock, wherever it is then copied to and however late it came.
//
// A change reaches Redis from the process that makes it, once it is committed,
// and from each process that hears of it from the control plane. The first one
// also tells the others over Redis. So a stale value can be believed only if
// all of these fail at once: who made the change cannot reach Redis (or died
// just then, or was no registry at all but SQL by hand), and no other process
// that can reach Redis was listening to the control plane. Even then, and
// also where a restarted Redis brings old values back from its disk, no
// process believes one for longer than TTL after it was read from the control
// plane, and the first process that is connected to both again ends it.
//
// It keeps no shards, whose DSNs hold passwords, and no unknown tenants, of
// which a stranger can invent any number. Values name schemas: who can write
// to this Redis can lead one tenant's statements into another's schema, or
// another's shard. Guard it like the control database.
package rediscache

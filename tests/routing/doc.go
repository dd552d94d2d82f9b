// Package routing proves, on a primary with a real streaming replica, where
// statements run: reads on the replica, all else on the primary; a tenant's
// own writes are seen at once, however far the replica is behind; a replica
// that fails, shards that come and go, and pool settings that change are
// nobody's error.
//
// It does not prove isolation (tests/isolation) nor count round trips
// (tests/roundtrips).
package routing

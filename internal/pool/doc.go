// Package pool keeps the open connections of one node (a shard's primary or
// one of its replicas). There is one pool per node, never one per tenant.
//
// It opens connections when they are wanted, bounds them, hands out the one
// that served the same tenant before when it can (its plans are warm), and
// retires those that are too old, idle for too long, or have touched too many
// tenants: a backend's memory grows with each schema and only a reconnect gives
// it back. A Budget bounds the connections of all pools together. A breaker keeps
// callers from a node that takes no connections.
//
// It promises that a connection it hands out has no open transaction and no
// session state of somebody else, that waiting ends with the caller's context,
// and that Close returns when nothing is open. Owners (tenants) are served in
// turn, one owner's callers first come first served, so that hundreds of one
// do not delay another's first. Nobody waits who could be served. Under a Budget
// each pool gets its share, and a place is free when the server has ended its
// session, so that the server never sees more.
//
// It does not find a deadlock: callers who hold a connection and wait for another
// one, of any pool under one Budget, may wait for each other until a context ends.
// An attempt to connect that fails midway, and a session that a refusal in a
// transaction cuts off, may be seen by the server a moment longer than counted.
//
// It knows nothing of routing or scoping: what a connection does is the
// Connector's business. Whoever owns the pools calls Sweep and ReportLeaks.
package pool

// Package pool keeps the open connections of one node (a shard's primary or
// one of its replicas). There is one pool per node, never one per tenant.
//
// It opens connections when they are wanted, bounds them, hands out the one
// that served the same tenant before when it can (its plans are warm), and
// retires those that are too old or have touched too many tenants: a backend's
// memory grows with each schema and only a reconnect gives it back.
//
// It promises that a connection it hands out has no open transaction and no
// session state of somebody else, that waiting ends with the caller's context,
// first come first served, and that Close returns when nothing is open.
//
// It knows nothing of routing or scoping: what a connection does is the
// Connector's business.
package pool

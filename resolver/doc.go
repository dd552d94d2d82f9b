// Package resolver decides on which shard and node a statement runs.
//
// GORM is given one ordinary *sql.DB, the handle, whose driver is the Router.
// Its connections are virtual: each statement (or transaction) reads the
// tenant from its own context, asks the Directory where the tenant lives,
// takes a real connection from that node's pool and keeps it for as long as
// database/sql keeps the virtual one. So transactions, prepared statements,
// sql.Conn and pool settings work as they do everywhere, and no path of GORM's
// can go round the routing.
//
//	gorm statement -> *Pool (primary or read) -> handle -> Router -> pool of (shard, node) -> pgscope
//
// Stock dbresolver sits above and chooses between two Pools: the primary's and
// the reading one. A third, the trusted one, is for statements that the
// application itself sends to replicas (dbresolver.Read). The reading Pool sends to
// a replica only what is provably read only (package sqltext), and only to a replica
// that has replayed the tenant's last write of this process; all else goes to the
// primary, as do transactions that are not read only.
//
// Promises: no tenant, no statement (but bare ones on the handle itself, which
// reach no tenant's table); a statement runs on its tenant's shard or fails; a
// replica that is down costs a retry on the primary, and an error only where a result
// was being read, or a read-only transaction was under way.
//
// In strict mode (Config.ConnectAs) a tenant's statements run under a role of its own,
// on pools of its login's; a tenant without a role fails. See login.go.
//
// It does not know where placements come from, and real connections are pooled
// by internal/pool.
package resolver

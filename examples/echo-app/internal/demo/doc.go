// Package demo runs the order desk on a cluster of its own: two shards, each a
// PostgreSQL primary with a streaming replica, the control plane's database,
// five tenants with data, one of them in a small tier, and one that is suspended.
//
// All of it ends with the context given to Run, and leaves no process and no
// file behind, unless Config.Data names a directory: what is in there is taken
// up by the next Run. What a killed demo left is cleaned up by the next start,
// too. Nothing here is a way to run PostgreSQL for real.
package demo

// Command bench measures what the plugin costs and saves: unmodified GORM code
// with the plugin, against plain GORM on one fixed schema, on the same server,
// in one run.
//
//	go run ./tests/bench [-short] [-strict] [-self] [-parts] [-metrics] [-calls N] [-svg FILE] [-json FILE]
//
// Every comparison alternates between its ways in short rounds. The ratio is
// taken within each round, and the median of the rounds is the figure, so that
// a busy machine disturbs all ways alike. Beside the two stand, for comparison
// only, plain GORM with each tenant's schema written out, which is what schemas
// cost by themselves, and the way that other libraries take: a pinned connection,
// SET search_path, the statement, RESET.
//
//   - A round trip of 1 ms more (tests/wirecount): a read, and a write in GORM's
//     default transaction.
//   - Loopback: one tenant, and 2,000 tenants in turn. Plain GORM has one schema.
//   - A closed loop: 32 goroutines, 16 connections, 1,000 tenants drawn by Zipf's
//     law with s = 1.1.
//   - The plugin in the process: the same calls against recorded answers of the
//     server (replay.go), so that no database takes part. Time and allocations,
//     ours minus plain.
//
// Each figure has a bar (bars.go). With -strict a failed bar is exit code 1.
// -self puts plain GORM in the plugin's place: how far its ratios are from 1 is
// how far the machine can be trusted. -metrics compares the plugin without and
// with tenantplugin.WithMetrics instead, on a server and in the process.
package main

// Package wirecount counts what a PostgreSQL client and its server say to each
// other: a TCP proxy on loopback that tests and benchmarks put between the two.
//
// It counts on the wire, from the flow of the data and not from what a driver
// claims to do. A round trip is counted when the server's answer to a burst of
// the client is about to be forwarded; the next one begins when the client
// sends again after that. Many messages, or many ReadyForQuery, in one exchange
// of bursts are one round trip. Round trips of a connection's start (up to its
// first ReadyForQuery) are counted apart, so that a pool which opens a
// connection does not disturb a count.
//
//	proxy, err := wirecount.Start(ctx, "127.0.0.1:5432", wirecount.Options{})
//	before := proxy.Count()
//	db.First(&invoice)
//	trips := proxy.Count().Sub(before).RoundTrips
//
// It can add latency: each direction holds every chunk back for half of
// Options.Latency, in order, so that a round trip costs that much more. And it
// keeps a log of the client's messages with the SQL text that they stand for,
// for tests which assert that a statement never reached the database.
//
// What it does not do: TLS (it refuses, as a server without TLS would, so that
// the client goes on in the clear or gives up), bandwidth limits, faults.
package wirecount

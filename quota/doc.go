// Package quota holds tenants to their limits: rates of statements and
// requests, how many of them are under way at the same time, and, as numbers
// for others to enforce, connections, rows, timeouts and storage. Limits belong
// to tiers, with exceptions for tenants (Policy); a Source, such as the
// registry, knows them, and a Governor keeps them in memory:
//
//	g, err := quota.New(quota.Config{Source: reg})
//	err = g.Start(ctx)
//	defer g.Stop()
//
// It promises that
//   - what holds is known from memory, without a lock that tenants share, and
//     without allocation;
//   - a changed policy holds from the next statement on, and does not refill
//     buckets; tenants that are in or wait keep their places;
//   - waiting is fair: each tenant has a queue of its own, first come, first
//     served, bounded in length and time, which delays nobody else;
//   - a refusal is a *LimitError, which wraps tenant.ErrLimited and tells the
//     time to wait;
//   - memory is bounded: who does nothing for Config.IdleFor is forgotten, unless
//     its buckets are not full again.
//
// What fails closed: Start fails without a policy, and before it everybody is
// refused (ErrNotStarted). A policy whose tiers or lane make no sense is not
// put in force. What fails open: when a policy cannot be read again, the last
// one stays in force, and an exception that cannot be read leaves its tenant
// with what it had, or else with its tier's limits; both are logged and
// counted. A quarantine ends by itself meanwhile.
//
// With Config.Shared, processes share the rates. Each takes tokens ahead, as
// many as it will use in less than 0.1 s while they are scarce, so that most
// statements ask nobody, and what all accept together is the configured rate.
// It is inexact for bursts below 0.1 s worth, as each question takes its time.
// While the shared buckets cannot be asked, the process's own decide at once:
// with its part of the rate if Config.Processes says how many there are, else
// with the full one. Then together they may accept several times the rate, but
// nobody is refused because of the outage. With Processes, a process that gets
// more than its part of the traffic refuses some that the others had left; and
// what a tenant at its limit got meanwhile is taken from the shared bucket
// afterwards, so that an outage adds nothing to its rate.
//
// Concurrency, connections and queues are a process's own, always.
//
// It enforces nothing by itself: package tenantplugin asks it for statements,
// and package middleware for requests. Governor.Enter is not re-entrant. It
// knows no usage per tenant: package metrics does.
package quota

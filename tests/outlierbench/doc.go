// Command outlierbench plays simulated fleets to the outlier detector, and says how well
// it did, beside a fixed threshold for all and a rule of three standard deviations on the
// same samples.
//
//	go run ./tests/outlierbench -seeds judge   (or tune; -short for seconds, -list for what was wrong)
//
// # The world
//
// 1,000 tenants on five shards, placed at random, run 10,000 statements a second, by Zipf's
// law (exponent 1): the largest 1,300, the smallest 1.3. Each has a rhythm of the day (log-sine,
// amplitude 0.3 to 0.8, in one of three time zones) and grows by up to 3% a day. Numbers of
// statements and errors are Poisson about a mean with autocorrelated noise
// (Ornstein-Uhlenbeck, log standard deviation 0.1 to 0.25, memory of 30 s to 10 min, Tukey's
// contaminated normal for kicks); the latency has such noise as well. Statements take lognormal times
// (median about 2 ms, sigma 0.6 to 1.2), up to one in 500 a Pareto tail (exponent 1.6, from 20
// times the median on). Rows are lognormal. A shard is slower the more work it is asked for, by
// 1/(1-load), for some tenants more than for others, and slow answers hold some of the load
// back. Waits for connections follow Sakasegawa's approximation, and who wants many waits longer.
//
// # The outliers
//
// 10 in an hour, after half an hour, at random times, for 3 to 10 minutes, of tenants of any size.
// Severities are log-uniform, of: slow queries (30% to all of the statements), 4 to 30
// times the mean time; rate floods, 6 to 40 times; error storms, 10% to 90% of the statements;
// row floods, 6 to 100 times; heavy aggregates, 6 to 50 times the tenant's load or the even
// share of its shard's, whichever is more; connection hogs, 0.5 to 1.5 times the pool. One of
// the ten is a noisy neighbour that takes 30% to 60% of what its shard can do and slows everybody on it.
//
// # What is none
//
// Bursts of up to three times for up to a minute (two a day and tenant), jobs of up to 2.5 times
// the rows for up to ten minutes, users who fail 3 to 8 times in a row, deploys that slow a shard
// by 2 to 5, maintenance, failovers with 10% to 30% errors, tenants that treble within an
// hour, arrive, leave, and return. The clean day has all of these.
//
// A finding is right if it is of an outlier's tenant, in the outlier's time or 10 s after it,
// whatever cause it names; the causes are counted apart.
package main

// Package outlier finds the tenants that misbehave, and tells why. It is fed
// one Sample per active tenant and window (5 s in the plugin), says what it
// found as Events, and explains any tenant in plain sentences. It has no
// goroutine, no clock and no randomness: the same samples give the same events.
//
// # What it compares
//
// Six signals are taken on a log scale, since loads and latencies differ by
// factors: database time, statements and rows per second; rows, wait for a
// connection and geometric mean latency per statement. The seventh is the
// ratio of errors. Of each log signal a tenant has a history: a decaying mean
// and variance (Config.HalfLife). A large tenant is large in its history, too,
// which makes it no outlier; rhythm and growth are slow against the half-life.
//
// What moves a whole shard is nobody's fault. So a window's deviation from the
// own history is taken relative to the median deviation on the shard, and
// measured in units of
//
//	sqrt(own variance + spread² - median own variance)
//
// where spread is 1.4826 MAD of the shard's deviations, the robust standard
// deviation of the modified z-score (Iglewicz and Hoaglin, How to Detect and
// Handle Outliers, ASQC 1993). The difference is what tenants of the shard differ by
// beyond their own noise right now, as between-group variance is estimated in
// meta-analysis (DerSimonian and Laird, 1986): if a neighbour slows some
// tenants by 2 and some by 5, none of these victims stands out.
//
// Windows add up to evidence by Page's CUSUM (Continuous Inspection Schemes,
// Biometrika 1954): S = max(0, S + min(z, cap) - slack). The cap makes one
// monstrous statement one window's evidence, not a finding. Errors go by the
// CUSUM of binomial log-likelihood ratios, so that 1 error of 3 statements
// weighs less than 100 of 300.
//
// A finding needs all of: evidence over Config.Enter, the effect (the mean
// deviation since the evidence began to grow) over the signal's factor, some
// consecutive windows (more of them where the effect is not much over its factor, or
// where one slow statement makes it), and, for what is consumed (time, statements, rows),
// at least half of an even share of the shard. What tenants of a shard differ by while
// something moves all of it counts for less, because it does not come anew with each window.
// A finding is left when the evidence fell below Config.Leave for Config.LeaveWindows.
//
// Wait for connections is suffered by many and caused by few: it names the cause
// only of a tenant whose own database time has risen as well.
//
// A tenant without a history is compared with the other tenants of its shard, by its
// latency and errors only, on higher factors: large, or different, is not wrong. When the detector itself is new, nobody is judged.
//
// # What it does not do
//
// It does not act: see quota for quarantine. It sees no transaction that holds a
// connection without running statements (the pool's leak detection does). A
// rise that comes slower than the half-life is growth to it. An outlier that
// stays for many half-lives becomes the tenant's history.
package outlier

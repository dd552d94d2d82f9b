// Command limitbench measures the limits that processes share: real processes,
// a real redis-server, and more load on a thousand tenants than they may have.
//
//	go run ./tests/limitbench
//
// It prints what all processes together accepted of what is configured, while
// Redis works; and what happens to the callers when it is paused, killed and
// started again under the same load. A tenth of the tenants stay far below
// their limits: none of their statements may be refused, ever. The time that a
// call takes is printed beside the longest time for which the same process did
// not run at all, as somebody finds who only sleeps: a busy machine delays both.
package main

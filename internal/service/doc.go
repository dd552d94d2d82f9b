// Package service is the lifecycle contract of whatever runs in the
// background: one Start, one Stop, nothing left behind.
//
// Start returns an error on a second call. Stop may be called at any time, on
// a service that never started and more than once; it returns when the work
// has ended. Whoever constructs a service starts and stops it.
package service

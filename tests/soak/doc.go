// Command soak runs an application over a whole fleet for a while, and fails if
// anything grows: the process's heap, its goroutines, what it remembers, its
// connections, the memory of the servers behind them. Meanwhile tenants come, change
// and go. It also tells how much memory a tenant takes in the application's process.
//
//	go run ./tests/soak -tenants 10000 -for 10m
package main

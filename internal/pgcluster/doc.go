// Package pgcluster runs PostgreSQL servers for the demo and for tests: a
// number of shards, each a primary with streaming replicas, and a control
// database, on free ports of the loopback interface.
//
// It finds PostgreSQL on the machine (GORMTENANCY_PG_BIN, PATH, pg_config,
// /usr/lib/postgresql), else fetches binaries through embedded-postgres. As
// root it runs the servers as another user, because initdb refuses root. A
// bundle without pg_basebackup will do.
//
// Promises: the servers end with the process that started them, however it
// ends; Stop leaves no process, and no file unless Config.Keep says so; what a
// killed process left is cleaned up by the next Start.
//
// It trades safety for speed (no fsync, no passwords on 127.0.0.1): never keep
// data in it that you want to see again after a power cut.
package pgcluster

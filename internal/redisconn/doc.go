// Package redisconn is how this house talks to a Redis server that nobody may
// wait for: settings under which a call takes no longer than its context says,
// errors that never repeat a URL's password, and the pauses between attempts to
// reach a server that is away.
package redisconn

// Package server puts the order desk on HTTP: routes and the middleware around
// them, request IDs, the access log, metrics, health, and an end that lets the
// requests under way finish.
//
// The life of a server is that of the context given to Serve. It opens and
// closes no database: whoever passes one in does.
package server

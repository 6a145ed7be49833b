package sio

// DefaultOptions are the options of NewServer(nil), for the test of docs/limits.md.
func DefaultOptions() Options { return (*Options)(nil).withDefaults() }

// Serve is serve, for the tests from outside.
var Serve = serve

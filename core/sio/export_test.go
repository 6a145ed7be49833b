package sio

// DefaultOptions are the options of NewServer(nil), with recovery, for the test of docs/limits.md.
func DefaultOptions() Options { return (&Options{Recovery: &Recovery{}}).withDefaults() }

// Serve is serve, for the tests from outside.
var Serve = serve

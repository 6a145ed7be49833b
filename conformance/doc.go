// Package conformance is the test suite for adapters. It verifies that a host, a web
// framework with an adapter, serves Socket.IO as siokit promises. An adapter passes when Run
// passes for it.
//
// # Test an adapter
//
// Write a Factory, which starts your framework, and one test. This is the Factory of net/http:
//
//	func factory(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
//		mux := http.NewServeMux()
//		mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
//		srv.Mount(mux, cfg.Path) // here stands what mounts your adapter
//		return conformance.ServeHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//			w.Header().Add("Set-Cookie", "host=1")
//			mux.ServeHTTP(w, r)
//		}), cfg)
//	}
//
// And this is the test:
//
//	func TestConformance(t *testing.T) { conformance.Run(t, factory) }
//
// README.md beside this file shows a whole adapter with its test.
//
// Run calls the Factory for each case with a new server, and runs the case as a subtest: the
// case sends what clients send, byte by byte, and compares the answers. ServeHTTP is for
// frameworks that are an http.Handler; a framework with a server of its own begins with Listen.
// Three ways to run the test:
//
//	go test -race -run TestConformance .
//	go test -run TestConformance/upgrade -count 20 -v .
//	go test -short -run TestConformance .
//
// The first runs all cases and takes about half a minute, the second runs a group of them again
// and again, the third leaves out the cases that wait for a clock. The last line of a run, a
// Summary, counts the cases that passed, and names all others with the reason.
//
// A case fails also when goroutines that run code of siokit are left after the host has stopped,
// and when the http.Server of ServeHTTP logs something, a second answer for example.
//
// # Read a failure
//
//	upgrade/second: failed
//	rule: a second websocket of a session is opened and closed without a code, ...
//	spec: Engine.IO 4: WebSocket; docs/protocol.md 4.3
//	cases_lifetime.go:19: a second websocket: 400 {"code":3,"message":"Bad request"}
//	the exchange, in seconds since the start:
//	   0.0004 > GET /socket.io/?EIO=4&transport=polling ""
//	   0.0011 < 200 to GET /socket.io/: "0{\"sid\":\"4_Jz...
//
// rule is what must hold. It is complete, so you need not look up spec, which names a text that
// says the same: a heading of a public protocol text, a section of an RFC, or a section of
// docs/protocol.md of siokit. The line with a file name is what came and what was wanted.
// Of the exchange, > is what the suite sent, < what it received, and log what the server logged.
// README.md lists the usual causes of the first failures.
//
// # What a host cannot do
//
// Everything is tested that is not excluded, and every exclusion has a reason that the Summary
// prints:
//
//	conformance.Run(t, factory,
//		conformance.Lacks("partial-body", "the framework reads a whole body before the handler"),
//		conformance.KnownFailing("limits/headers", "the framework's own limit comes first"),
//	)
//
// Lacks names a capability, something that not every host can do: Capabilities lists them.
// KnownFailing is for a fault that will be repaired later, and Skip for a case that fails only
// sometimes. A name that does not exist is an error, and no case runs.
//
// # Sessions
//
// The option Sessions has Run verify the host together with a session library and
// sessionbridge, and CookieSessions does that for a library that keeps the values in the cookie.
// RunBackend verifies a backend of sessionbridge alone, without a host.
//
// # Three servers
//
// The option Clustered runs the same cases over three servers of a cluster behind one address,
// where each request goes to the next of them, whichever has its session. It takes the bus to be
// used, and needs no more of the Factory than to call ServeHTTP or Listen.
//
// # Servers that are not written in Go
//
// The option Remote runs the cases that need nothing but an address, against a server that
// serves what Application says. The command cmd/sioconform does so without a test. Check is Run
// for programs: it returns a Result for each case.
package conformance

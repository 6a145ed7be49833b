// Package siotest tests the namespaces of an application, without a network, a port or a
// sleep. A test connects clients of any generation to a *sio.Server, by itself or behind the
// router of the application, and says what they send and what they expect:
//
//	func TestSay(t *testing.T) {
//		io := sio.NewServer(nil)
//		io.Of("/chat").Mix(newChat())
//		ann := siotest.New(t, io, nil).Connect("/chat", nil)
//		ben := siotest.New(t, io, nil).Connect("/chat", nil)
//
//		ann.Emit("say", "hello")
//		ben.Expect("said", "hello")
//	}
//
// The requests go through the whole of the server, and of the router: OnHandshake, policies,
// middleware and codecs are those of production. Only the connection is in memory. It is a
// websocket; a Server without that transport refuses the clients. Origins are looked at when
// Options.Header has an Origin.
//
// All methods are called by the test's own goroutine, because they end the test when they fail.
// Clients that act at the same time are made with [Client.Start] of each, and then the
// [Answer.Args] of each.
//
// # Visitors and clients
//
// A [Visitor] is one browser, or one program. [New] makes one for a Server: [Options] say
// which generation its client is of, and which query, headers and cookies its requests have.
// [Visitor.Connect] opens a connection and joins a namespace, with an auth payload;
// [Client.Join] joins one more on the same connection. Two tabs of one browser are two
// Connects of one Visitor, two people are two Visitors.
//
// A visitor has cookies. [Visitor.PostForm] and [Visitor.Do] make any request of the
// application, such as a login, and the cookies of its answer come with the handshakes
// afterwards. So a test of a web session logs in as the page does. The requests go to
// Options.Handler, the router of the application:
//
//	v := siotest.New(t, io, &siotest.Options{Handler: router})
//	v.PostForm("/login", url.Values{"user": {"ann"}, "password": {"secret"}})
//	v.Connect("/", nil).Expect("welcome", "ann")
//
// The router is an http.Handler, as those of net/http, gin, echo and chi are. That of fiber is
// none; there a test of the namespaces does without Handler, and gives the cookies with
// Options.Cookies.
//
// Nothing needs to be closed. When the test ends, its connections are closed and the Server is
// shut down; a handler that does not return then fails the test. See [Cleanup] for a Server
// that subtests share.
//
// # Events and acks
//
// [Client.Emit] sends an event. [Client.Ask] and [Call] ask for an ack and wait for it, and
// [Client.Refused] wants the ack to be an error:
//
//	sent := siotest.Call[Message](ann, "say", "hello")
//	if e := ann.Refused("say", ""); e.Code != "empty" {
//		t.Error(e)
//	}
//
// [Client.Ask] fails when the ack is an error. What a client receives waits until the test
// takes it. [Client.Expect] takes the first event with a name, and compares its arguments;
// [Receive] decodes them; [Client.Next] returns the event as it is. Events with other names
// stay where they are, in their order. [Client.Quiet] fails when anything is left.
//
// An event that asks for an ack (sio.Call of the server) is answered with [Event.Ack]. When
// the server asks in the middle of a handler whose own ack the test wants, the test begins
// with [Client.Start]:
//
//	answer := ann.Start("delete", 7)
//	ann.Expect("sure?").Ack(true)
//	answer.Args()
//
// The arguments of [Answer.Args] are those of the ack whatever it is, also an error.
//
// # Refusals and ends
//
// [Visitor.Refused] is Connect for a client that must not come in, and says what it is told.
// [Client.Disconnect], [Client.Close] and [Client.Freeze] are the ways in which a client goes;
// OnDisconnect of the application gets ClientNamespace, TransportClose and PingTimeout.
// [Client.End] waits until the server has disconnected the client, and says why.
//
// # Time
//
// A test may run in a bubble of testing/synctest, with Server, visitors and all. Then its
// clock is the bubble's: an hour of silence, a token that expires or a heartbeat that is
// missed takes no time, and a wait that fails does so at once:
//
//	synctest.Test(t, func(t *testing.T) {
//		io := sio.NewServer(nil)
//		c := siotest.New(t, io, nil).Connect("/", nil)
//		c.Freeze()
//		time.Sleep(time.Minute) // longer than PingInterval and PingTimeout
//		c.End()
//	})
//
// Visitors are made inside of the bubble, with the bubble's t. A Server may be made outside, as
// long as it has served nobody and belongs to no test outside ([Cleanup], [New]): New fails in a
// bubble when it does. synctest.Wait returns when all handlers have done what they can before
// time passes, on all servers; what they have emitted has come by then. A volatile event is
// dropped while earlier ones are still to be written: call synctest.Wait before it.
//
// # Several servers
//
// Servers on the bus in memory, cluster.NewBus, are a cluster in one process. [Together]
// waits until they know each other. Visitors are of one Server or another, as clients behind
// a load balancer.
//
// # Failures
//
// Whatever does not come within Options.Patience fails the test. The failure says what was
// waited for, which events have come instead, and shows the exchange: each request, packet and
// close frame of all visitors of the test, in order, as they travelled, with the time since
// the first visitor was made; long ones are shortened. "#2" is the second connection of the
// test. Heartbeats are left out, and so is what is long past.
//
// # What it does not do
//
// Clients do not poll, upgrade, or connect again, and there is none of 0.6. A client reads
// whatever the server writes, at once: nothing pushes back, so full queues and slow clients are
// not tested. What depends on
// the transport or on the host, such as proxies, is for a client over the network; the package
// conformance tests hosts.
package siotest

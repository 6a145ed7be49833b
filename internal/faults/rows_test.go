package faults

import "testing"

// row is a fault. It has tests of other packages, a test here, or a reason why it does not apply.
type row struct {
	id, fault string
	holds     string
	by        []string // "core/sio.TestName"; or "case limits/slow-reader", which core/sio.TestConformance and each adapter run
	run       func(t *testing.T)
	none      string
}

var rows = []row{
	{id: "F01", fault: "a client vanishes, with a FIN, at any byte", holds: "one OnDisconnect, soon; what came before was handled", run: func(t *testing.T) { vanish(t, false) }},
	{id: "F02", fault: "a client vanishes silently (half-open TCP)", holds: "ping timeout, in time", run: halfOpen,
		by: []string{"core/internal/virtsocket.TestPingTimeout", "core/internal/virtsocket.TestTimeoutToTheTick", "case heartbeat/timeout-to-the-tick"}},
	{id: "F03", fault: "a reset in the middle of a frame, POST or poll", holds: "no half message; as F01", run: func(t *testing.T) { vanish(t, true) },
		by: []string{"case websocket/reset", "case polling/aborted-post", "case polling/abort"}},
	{id: "F04", fault: "a slow reader", holds: "its queue is bounded, it is disconnected, others get everything",
		by: []string{"case limits/slow-reader", "case limits/slow-poller", "case limits/unread-answer", "case streams/slow-reader", "core/sio.TestForwardSlowReader"}},
	{id: "F05", fault: "a slow writer: head, body, frame", holds: "each ends in time; others are served", run: slowFrame,
		by: []string{"core/host.TestSlowBody", "case wire/attachments-in-time", "core/sio.TestAttachmentsInTime"}},
	{id: "F06", fault: "application code panics, in each callback and on each host", holds: "one event or request fails",
		by: []string{"case events/panic", "case panics/exchange", "case panics/upgrade", "case panics/stream", "adapters/gin.TestConformance", "adapters/echo.TestConformance", "adapters/echov5.TestConformance",
			"adapters/chi.TestConformance", "adapters/fiber.TestConformance", "adapters/fiberv3.TestConformance", "core/sio.TestPanicBeside", "core/sio.TestErrorsThatExit"}},
	{id: "F07", fault: "a handler blocks for ever", holds: "the inbox is bounded, the heartbeat goes on, Shutdown ends with its context",
		by: []string{"case events/blocked-handler", "case limits/inbox", "case lifecycle/shutdown-deadline", "core/sio.TestInboxBounds", "core/sio.TestOverdue"}},
	{id: "F08", fault: "callbacks call the server", holds: "no deadlock", run: reenter, by: []string{"core/sio.TestComeAndGoBeside"}},
	{id: "F09", fault: "no bus at the start", holds: "own clients are served, it is said, and tried again",
		by: []string{"core/internal/node.TestBeforeStart", "core/internal/node.TestStartFails", "cluster/natsembed.TestLateServer", "cluster/redis.TestCloseConnecting", "cluster/redis.TestRefused"}},
	{id: "F10", fault: "Redis goes and comes under traffic", holds: "own clients get all; what is lost is counted; then all is well",
		by: []string{"cluster/redis.TestServersRestart", "cluster/redis.TestRestart", "cluster/redis.TestAway"}},
	{id: "F11", fault: "Redis hangs", holds: "no emit waits; it is noticed in 10 s", by: []string{"cluster/redis.TestServersStopped", "cluster/redis.TestStopped", "core/internal/node.TestHungBus"}},
	{id: "F12", fault: "NATS goes and comes", holds: "nothing comes late, the order is kept", by: []string{"cluster/natsembed.TestServersWithoutNATS", "cluster/natsembed.TestRestart"}},
	{id: "F13", fault: "a slow consumer of NATS", holds: "what is dropped is counted, exactly", by: []string{"cluster/natsembed.TestSlowReader", "cluster/nats.TestOverrun", "core/cluster.TestBusSlowNode"}},
	{id: "F14", fault: "a partition in one direction", holds: "both serve; the one that is not heard is gone after three heartbeats, and comes back", run: oneWay,
		by: []string{"cluster/redis.TestServersCut", "cluster/redis.TestServersSilent", "core/internal/node.TestFlapping"}},
	{id: "F15", fault: "a node is killed", holds: "requests name it, others lose nothing, presence is clean", by: []string{"cluster/redis.TestServersKilled", "cluster/natsembed.TestServersKilled", "cluster/natsembed.TestServersServerKilled"}},
	{id: "F16", fault: "a node stands still and goes on", holds: "it reports what it has missed, and says nothing stale", by: []string{"cluster/redis.TestServersStalled", "cluster/natsembed.TestServersStalled", "core/internal/node.TestStoodStill"}},
	{id: "F17", fault: "a rolling restart of three nodes", holds: "all clients come back; at most once, in order", run: rolling, by: []string{"case nodes/shutdown", "case lifecycle/restart"}},
	{id: "F18", fault: "the clock jumps", holds: "no wall clock decides anything but Socket.ExpireAt, which follows the system's clock on purpose, and how much longer a stored session is kept that a stranger has asked for", run: clocks, by: []string{"core/internal/virtsocket.TestStaleExpiry", "core/internal/wheel.TestExpiry"}},
	{id: "F19", fault: "no CPU time for 2 s", holds: "no false ping timeout", run: starved},
	{id: "F20", fault: "Shutdown with many connections", holds: "503, polls answered, 1001, the reason, within 5 s", run: shutdownMany, by: []string{"case lifecycle/shutdown", "case generations/shutdown"}},
	{id: "F21", fault: "Shutdown during upgrades, joins, and without a bus", holds: "ends with its context",
		by: []string{"case lifecycle/shutdown-deadline", "core/internal/virtsocket.TestShutdownInAccept", "core/internal/virtsocket.TestUpgradeEndsWhileWaiting", "core/internal/node.TestShutdownDeadBus"}},
	{id: "F22", fault: "Shutdown twice, and use afterwards", holds: "no panic, 503", run: afterwards, by: []string{"core/eio.TestShutdown", "core/internal/node.TestShutdownWithoutStart"}},
	{id: "F23", fault: "an upgrade that is interrupted at each step", holds: "polling goes on, nothing lost", by: []string{"case upgrade/interrupted", "case upgrade/bad-probes", "case upgrade/timeout", "case upgrade/polls-again"}},
	{id: "F24", fault: "messages during the upgrade, with delays", holds: "exactly the sequence", run: upgrades, by: []string{"case upgrade/under-traffic", "case upgrade/post-in-flight"}},
	{id: "F25", fault: "a proxy that holds whole responses", holds: "polling works", run: holding, by: []string{"interop/balance.TestClients", "interop/balance.TestHeldPoll"}},
	{id: "F26", fault: "a proxy that splits every byte, or merges", holds: "as without it", run: splitting, by: []string{"case websocket/frames"}},
	{id: "F27", fault: "a proxy that strips Upgrade, or refuses it", holds: "polling goes on, nothing lost", run: stripping, by: []string{"case websocket/refused", "doctor.TestCutWebsocket"}},
	{id: "F28", fault: "a proxy that cuts idle connections", holds: "pings keep the connection; a longer interval ends it cleanly", run: idle, by: []string{"interop/balance.TestTimeouts"}},
	{id: "F29", fault: "a proxy that repeats a poll or a POST", holds: "an overlapping one ends the session; nothing is handled twice beside it; a POST that is repeated behind the answered first one is handled again", run: repeats,
		by: []string{"case polling/overlapping-get", "case polling/overlapping-post", "case eio3/overlap", "case sio1/overlap"}},
	{id: "F30", fault: "no sticky sessions", holds: "400 at once, said in the log; with Options.Forward it works", by: []string{"core/sio.TestForwardOff", "core/sio.TestForward", "interop/balance.TestNotSticky", "doctor.TestSticky"}},
	{id: "F31", fault: "two polls of a session reach two nodes", holds: "as on one node", by: []string{"core/sio.TestConformanceClustered", "case polling/overlapping-get"}},
	{id: "F32", fault: "all clients connect again at once", holds: "all are back within 10 s, others are served", run: storm},
	{id: "F33", fault: "the log blocks", holds: "who causes no line of the log is served", run: blockedLog},
	{id: "F34", fault: "no descriptors left", holds: "who is connected is served; later others are again", run: noFiles},
	{id: "F35", fault: "little memory, under attack", holds: "survives, others are served", run: littleMemory},
	{id: "F36", fault: "the store of sessions is slow or away", holds: "handshakes end in time, nobody is let in", by: []string{"sessionbridge.TestStoreThatHangs", "sessionbridge.TestStoreThatExits", "sessionbridge.TestFromHonoursItsContext", "sessionbridge.TestLookingGoesOn"}},
	{id: "F37", fault: "the host's timeouts of one second", holds: "polls and websockets live longer", run: hostTimeouts, by: []string{"core/host.TestWriteTimeout", "core/host.TestStreamDeadlines", "adapters/fiber.TestDeadlines", "adapters/fiberv3.TestDeadlines"}},
	{id: "F38", fault: "middleware of the framework", holds: "works, or is refused with words", by: []string{"examples/internal/hosts.TestMiddleware"}},
	{id: "F39", fault: "mounted in front of the session middleware", holds: "refused with words", by: []string{"examples/internal/hosts.TestInsideLoadAndSave", "examples/internal/hosts.TestInsideSessionMiddleware", "sessionbridge/scs.TestInside"}},
	{id: "F40", fault: "CONNECT twice, DISCONNECT twice, acks behind the end", holds: "no callback twice", by: []string{"case lifecycle/once", "case connect/kicked/*", "core/sio.TestGoodbyeWhileWaiting", "core/sio.TestRejoinBehindTheEnd", "case wire/message-acks"}},
	{id: "F41", fault: "HTTP/1.0, a connection for each request", holds: "polling works", run: oldHTTP},
	{id: "F42", fault: "IPv6, a Unix socket, TLS", holds: "as on IPv4", run: listeners, by: []string{"core/sio.TestConformanceTLS", "adapters/fiber.TestConformanceTLS", "adapters/fiberv3.TestConformanceTLS", "core/sio.TestNoAddress"}},
	{id: "F43", fault: "half an hour on a bad network", holds: "nothing lost, nothing grows: make soak", by: []string{"interop/soak.TestSoak", "interop/soak.TestSoakFinds"}},
	{id: "F44", fault: "timers and goroutines behind the end", holds: "none", run: leaks},
	{id: "F45", fault: "data races", holds: "none: .ci/run runs all tests with -race", run: raceStep},
	{id: "F46", fault: "a crash while a history is written", holds: "never a gap that is called none: nobody is told that it has missed nothing", by: []string{"core/sio.TestRecoveryCluster", "core/sio.TestRecoveryRefused", "cluster/redis.TestHistoryAway", "cluster/redis.TestHistoryRestart", "core/sio.TestJoinFromWhileAway"}},
	{id: "F47", fault: "Redis is emptied, and the histories in it", holds: "what is kept afterwards stands behind what was forgotten: nobody takes it for an old event", by: []string{"cluster/redis.TestHistoryContract"}},
	{id: "F48", fault: "a node cannot publish some of its events", holds: "no client of another node that lacks one is told that it has missed nothing, once the node is back; its own clients have them",
		by: []string{"core/sio.TestRecoveryOtherCut", "core/sio.TestRecoveryOwnLoss", "core/sio.TestClusterNoRecovery", "core/internal/node.TestUntold"}},
}

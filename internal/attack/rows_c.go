package attack

// The rows about the bus send nothing to a host: what they name feeds the bus, or the reader of
// what comes from it.

var clusterRows = []Row{
	{ID: "C01", Sent: "garbage, half messages, other versions, messages of any size on the bus", Want: "dropped, reported and counted; the others go on", Elsewhere: "TestClusterMalformed, TestPoison, TestServersPoison, FuzzParse, FuzzParseClassic, FuzzUnwrap, conformance cluster: nodes/malformed"},
	{ID: "C02", Sent: "serialized objects of a language", Want: "malformed: JSON and MessagePack of fixed forms are read, nothing else", Elsewhere: "TestPoison, FuzzRead, FuzzParseAdapter"},
	{ID: "C03", Sent: "a message of a process that should not write to the bus", Want: "never code, never the name of a handler of clients", Elsewhere: "TestForwardSecret, TestForOthers",
		Differs: "who may write to the bus may emit: the bus is inside of what is trusted, docs/cluster.md; requests that are passed on have a secret"},
	{ID: "C04", Sent: "the node's own message, a message twice, answers twice", Want: "ignored", Elsewhere: "TestStrangers, TestBusRouting"},
	{ID: "C05", Sent: "two nodes with one name", Want: "names are random; two that are equal hear the others", Elsewhere: "TestBus"},
	{ID: "C06", Sent: "requests that no node answers, all but one, strangers", Want: "an error that names who is missing, at the deadline; nothing is retained", Elsewhere: "TestClusterCallAll, TestStrangers, TestServersSilent, conformance cluster: ask/call-silent, ask/call-leaves"},
	{ID: "C07", Sent: "a question for the sockets of a large node", Want: "bounded, with a timeout", Elsewhere: "TestManyNodes, conformance cluster: ask/sockets"},
	{ID: "C08", Sent: "names of rooms and namespaces with wildcards, dots, spaces", Want: "names like any other", Elsewhere: "TestSubjects, FuzzSubjects, conformance cluster: names/rooms, names/namespaces"},
	{ID: "C09", Sent: "joins and disconnects by a node that is trusted less", Want: "as C03", Elsewhere: "TestForOthers", Differs: "as C03"},
	{ID: "C10", Sent: "answers of Redis that come behind their timeout", Want: "the answer belongs to its question", Elsewhere: "TestHungBus", Differs: "go-redis closes such a connection; the version that does is in cluster/redis/go.mod"},
	{ID: "C11", Sent: "more messages than a node takes", Want: "a bounded queue; what is lost is counted and reported as a gap", Elsewhere: "TestQueueBounds, TestBusSlowNode, TestOverrun, TestClusterReports"},
	{ID: "C12", Sent: "a bus that is somebody else's", Want: "the limits of its client", None: "the readers of Redis and NATS are libraries, whose faults are found by govulncheck"},
}

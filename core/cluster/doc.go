// Package cluster is the seam between a Server of package sio and the bus on which many
// processes form one Socket.IO server: a [Backend] carries each [Message] from a node to
// the others. Applications choose a backend and say so in the options of their Server;
// this package is for those who write one. There are backends for Redis and NATS, one that
// needs nothing but the processes of one machine, and [Bus], for tests; docs/cluster.md says
// which to take, and what a cluster promises. conformance.RunCluster tests a backend.
package cluster

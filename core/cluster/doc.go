// Package cluster is the seam between a Server of package sio and the bus on which many
// processes form one Socket.IO server: a [Backend] carries each [Message] from a node to
// the others. Applications choose a backend and say so in the options of their Server;
// this package is for those who write one.
package cluster

package connwatch

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"
)

// TestHandoverLost: a hijack handler that is never called still ends what was
// begun for the connection, once.
func TestHandoverLost(t *testing.T) {
	defer func(d time.Duration) { handoverTimeout = d }(handoverTimeout)
	handoverTimeout = 10 * time.Millisecond
	given := make(chan net.Conn, 2)
	handler := Handover([]byte("answer"), func(c net.Conn, _ *bufio.Reader) { given <- c })
	c := <-given
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection can be read")
	}
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	handler(server) // too late
	select {
	case <-given:
		t.Error("given twice")
	default:
	}
}

// TestHandoverTaken: a handler that is called in time gives the connection, once
// the answer is on it.
func TestHandoverTaken(t *testing.T) {
	given := make(chan net.Conn, 1)
	handler := Handover([]byte("answer"), func(c net.Conn, _ *bufio.Reader) { given <- c })
	client, server := net.Pipe()
	defer client.Close()
	over := make(chan struct{})
	go func() {
		defer close(over)
		handler(server)
	}()
	b := make([]byte, 6)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "answer" {
		t.Errorf("%q, %v", b, err)
	}
	c := <-given
	select {
	case <-over:
		t.Error("the handler returned while the connection is open")
	default:
	}
	_ = c.Close()
	<-over
}

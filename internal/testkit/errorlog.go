package testkit

import (
	"bytes"
	"log"
	"testing"
)

// ErrorLog is for the http.Server of a test: what net/http complains about, such as an answer
// behind a hijack, fails the test.
func ErrorLog(t testing.TB) *log.Logger { return log.New(complaints{t}, "", 0) }

type complaints struct{ t testing.TB }

func (c complaints) Write(line []byte) (int, error) {
	// A client that leaves in the middle of a handshake is none of the host's faults.
	if !bytes.Contains(line, []byte("TLS handshake error")) {
		c.t.Errorf("the host's server complains: %s", line)
	}
	return len(line), nil
}

package host

import (
	"net/http"
	"time"
)

// An answer is written with a deadline for progress: a client may be as slow as
// it likes, but one that takes nothing keeps neither the goroutine nor the body.
// A deadline belongs to the connection in HTTP/1, and net/http sets a new one for
// the next request only where the server has a WriteTimeout. So one may stay
// behind an answer only where the server has that, where the connection ends with
// the answer, or in HTTP/2, where it belongs to the answer. Otherwise it is lifted
// as soon as the answer is out, or an answer of the host's own would fail much later.

// writePiece is how many bytes a client must take within StreamTimeout.
const writePiece = 64 << 10

// hostTimeout is the server's own WriteTimeout, 0 when it has none.
func (x *httpExchange) hostTimeout() time.Duration {
	if srv, ok := x.r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		return max(0, srv.WriteTimeout)
	}
	return 0
}

// patience is how long a client may take nothing: StreamTimeout, or the server's
// own WriteTimeout where that is shorter.
func (x *httpExchange) patience() time.Duration {
	if own := x.hostTimeout(); own > 0 {
		return min(own, StreamTimeout)
	}
	return StreamTimeout
}

// ends reports whether the connection has to end with an answer, so that a
// deadline may stay behind it; the header says so then.
func (x *httpExchange) ends() bool {
	if x.hostTimeout() > 0 || x.r.ProtoMajor > 1 {
		return false
	}
	x.w.Header().Set("Connection", "close")
	return true
}

// leaveBody bounds how long the server reads a body that nobody has asked for: it
// does so with an answer, to use the connection again. net/http sets the deadline of
// reads anew for the next request. The answer, which waits for that, needs a part of
// the time for itself.
func (x *httpExchange) leaveBody() {
	if !x.read && x.r.ContentLength != 0 {
		_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(x.patience() / 2))
	}
}

// write writes p in pieces, each with a deadline of its own.
func write(w http.ResponseWriter, p []byte, patience time.Duration) (n int, err error) {
	rc := http.NewResponseController(w)
	for first := true; first || n < len(p); first = false {
		_ = rc.SetWriteDeadline(time.Now().Add(patience))
		m, err := w.Write(p[n:min(len(p), n+writePiece)])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// rest sets the deadline for what is still to leave when an answer of size bytes
// has been handed to the writers: a wrapper may hold all of it back until the
// handler returns. ends is what was asked before the header left.
func (x *httpExchange) rest(size int, ends bool) {
	at := time.Time{}
	switch own := x.hostTimeout(); {
	case own > 0 || ends || x.r.ProtoMajor > 1:
		at = time.Now().Add(x.patience() * time.Duration(1+size/writePiece))
	}
	_ = http.NewResponseController(x.w).SetWriteDeadline(at)
}

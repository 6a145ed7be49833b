package polling

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// stream answers with one payload after the other, until the session ends,
// another request takes its place, or the client leaves.
func (p *poll) stream(x host.Exchange, v transport.PollRequest) error {
	g := &get{p: p, v: v}
	var started atomic.Bool
	err := errUnfinished
	defer func() {
		if err == nil || started.Load() {
			return
		}
		// The host cannot stream, or has panicked: the request has not been answered.
		g.leave()
		p.done(nil)
	}()
	setType(x, v.Answer.ContentType)
	x.SetHeader("X-Accel-Buffering", "no") // proxies would keep a stream for themselves
	g.gone = x.Gone()
	err = x.Stream(http.StatusOK, func(s host.Stream) {
		started.Store(true)
		err := errUnfinished
		defer func() {
			g.leave()
			p.done(err)
		}()
		err = g.pour(s)
	})
	return err
}

// pour writes to a stream what there is to say, until its end.
func (g *get) pour(s host.Stream) error {
	if _, err := io.WriteString(s, g.v.Answer.Head); err != nil {
		return err
	}
	if err := s.Flush(); err != nil {
		return err
	}
	var buf []byte
	for {
		ms, last, err := g.next(true)
		switch {
		case errors.Is(err, errOver):
			return nil
		case err != nil:
			return transport.ErrAborted // a stream that ends takes what was on its way with it
		case last != nil:
			_, err = put(s, g.v, buf, last)
			return err
		}
		if buf, err = g.putQueued(s, buf, ms); err != nil {
			return err
		}
	}
}

// putQueued writes messages of the link, and gives them back to the link.
func (g *get) putQueued(s host.Stream, buf []byte, ms []*packet.Message) ([]byte, error) {
	defer g.p.link.Sent(ms)
	return put(s, g.v, buf, ms)
}

// put writes each message as a payload of its own. It returns buf for the next call.
func put(s host.Stream, v transport.PollRequest, buf []byte, ms []*packet.Message) ([]byte, error) {
	buf = buf[:0]
	for i := range ms {
		buf = appendAnswer(buf, v, ms[i:i+1])
	}
	if _, err := s.Write(buf); err != nil {
		return nil, err
	}
	if cap(buf) > maxPooled {
		buf = nil
	}
	return buf, s.Flush()
}

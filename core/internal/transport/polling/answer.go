package polling

import (
	"net/http"
	"sync"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// maxPooled bounds the buffers that are kept for the next answer.
const maxPooled = 64 << 10

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// reply answers a request with one payload.
func reply(x host.Exchange, v transport.PollRequest, ms []*packet.Message) error {
	buf := buffers.Get().(*[]byte)
	body, contentType := v.Payloads.AppendPayload((*buf)[:0], ms)
	if v.Answer.Wrap != nil {
		body = v.Answer.Wrap(append([]byte(nil), v.Answer.Head...), body)
	}
	if v.Answer.ContentType == "" {
		x.SetHeader("Content-Type", contentType)
	} else {
		setType(x, v.Answer.ContentType)
	}
	err := x.Reply(http.StatusOK, body)
	if v.Answer.Wrap == nil && cap(body) <= maxPooled {
		*buf = body
		buffers.Put(buf)
	}
	return err
}

// setType says what a script or a stream is, and that it is nothing else.
func setType(x host.Exchange, contentType string) {
	x.SetHeader("Content-Type", contentType)
	x.SetHeader("X-Content-Type-Options", "nosniff")
}

// appendAnswer appends one payload the way it stands in a stream.
func appendAnswer(dst []byte, v transport.PollRequest, ms []*packet.Message) []byte {
	if v.Answer.Wrap == nil {
		dst, _ = v.Payloads.AppendPayload(dst, ms)
		return dst
	}
	payload, _ := v.Payloads.AppendPayload(nil, ms)
	return v.Answer.Wrap(dst, payload)
}

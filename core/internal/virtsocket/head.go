package virtsocket

import (
	"net/http"
	"strings"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
)

// headerCost is what a header line costs beside its bytes, as HTTP/2 counts it
// (RFC 9113, 6.5.2): it bounds their number too.
const headerCost = 32

// head is what one look at all headers of a request finds.
type head struct {
	size    int    // bytes, with headerCost for each line
	origins int    // how many Origin lines there are
	origin  string // the last one
}

func readHead(x host.Exchange) (hd head) {
	x.EachHeader(func(k, v string) {
		hd.size += len(k) + len(v) + headerCost
		if strings.EqualFold(k, "Origin") {
			hd.origins++
			hd.origin = v
		}
	})
	return hd
}

// oversized refuses a request whose query or headers are larger than allowed,
// before anything has looked at them. It reports whether it has answered.
func (h *Hub) oversized(x host.Exchange, hd head) bool {
	ref := &dialect.Refusal{Code: dialect.BadRequest, Cause: dialect.CauseTooLarge}
	switch {
	case len(x.RawQuery())+len(x.Path()) > h.opts.MaxQuery:
		ref = TooLong()
	case hd.size > h.opts.MaxHeaders:
		ref.Status, ref.Message = http.StatusRequestHeaderFieldsTooLarge, "Headers too large"
		ref.Context = "larger than Options.MaxHeaders"
	default:
		return false
	}
	h.refuse(x, h.opts.Dialects[0], ref)
	return true
}

// TooLong is the refusal of a request whose address is longer than MaxQuery.
func TooLong() *dialect.Refusal {
	return &dialect.Refusal{
		Code: dialect.BadRequest, Status: http.StatusRequestURITooLong, Message: "Query too long",
		Context: "longer than Options.MaxQuery", Cause: dialect.CauseTooLarge,
	}
}

package virtsocket

import (
	"strings"

	"github.com/siokit/siokit/core/host"
)

// headerCost is what a header line costs beside its bytes, as HTTP/2 counts it
// (RFC 9113, 6.5.2): it bounds their number too.
const headerCost = 32

// head is what one look at all headers of a request finds.
type head struct {
	size    int    // bytes, with headerCost for each line
	origins int    // how many Origin lines there are, without those that are empty
	origin  string // the last one
}

func readHead(x host.Exchange) (hd head) {
	x.EachHeader(func(k, v string) {
		hd.size += len(k) + len(v) + headerCost
		// No browser sends an empty one; programs do that have none to send.
		if v != "" && strings.EqualFold(k, "Origin") {
			hd.origins++
			hd.origin = v
		}
	})
	return hd
}

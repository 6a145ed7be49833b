package httpreq_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/httpreq"
)

// FuzzQuery holds the walk over a raw query against the standard library.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"a=1&EIO=4", "%45IO=4", "E%49O=%34&EIO=3", "EIO", "+=x", "%", "%4", "EIO%3D=1"} {
		f.Add(s, "EIO")
	}
	f.Add("+", "+")
	f.Fuzz(func(t *testing.T, raw, key string) {
		if strings.Contains(raw, ";") {
			return // net/url refuses it
		}
		want := 0
		for pair := range strings.SplitSeq(raw, "&") {
			k, _, _ := strings.Cut(pair, "=")
			if got, err := url.QueryUnescape(k); err == nil && got == key && pair != "" {
				want++
			}
		}
		if got := httpreq.QueryCount(raw, key); got != want && key != "" && !strings.ContainsAny(key, "%+") { // names are ours
			t.Errorf("%q in %q: %d times, want %d", key, raw, got, want)
		}
	})
}

package fasthttphost_test

import (
	"testing"

	"github.com/siokit/siokit/adapters/fiber/fasthttphost"
)

func TestEverybody(t *testing.T) {
	for _, row := range []struct {
		proxies []string
		want    bool
	}{
		{nil, false}, {[]string{"10.0.0.0/8", "fd00::/8", "192.0.2.1", "nonsense", "1.2.3.4/99"}, false}, {[]string{"203.0.113.77"}, false},
		{[]string{"10.0.0.0/8", "0.0.0.0/0"}, true}, {[]string{"::/0"}, true}, {[]string{"0.0.0.0/1", "128.0.0.0/1"}, true}, {[]string{"::/1", "8000::/1"}, true}, {[]string{"::ffff:0:0/96"}, true},
	} {
		if got := fasthttphost.Everybody(row.proxies); got != row.want {
			t.Errorf("%v: %v", row.proxies, got)
		}
	}
}

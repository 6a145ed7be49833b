package fasthttphost

import "net"

// strangers are addresses for documentation, which no proxy has.
var strangers = [...]net.IP{net.IPv4(203, 0, 113, 77), net.ParseIP("2001:db8::77")}

// Everybody reports whether a list of proxies, as fiber takes it, contains the address
// of any client: 0.0.0.0/0 does, and so do its two halves together. Entries that are
// not ranges are ignored: each is one address at most.
func Everybody(proxies []string) bool {
	for _, p := range proxies {
		_, ranged, err := net.ParseCIDR(p) // as fiber does
		if err != nil {
			continue
		}
		for _, ip := range strangers {
			if ranged.Contains(ip) {
				return true
			}
		}
	}
	return false
}

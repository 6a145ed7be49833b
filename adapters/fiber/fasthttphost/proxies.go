package fasthttphost

import "net"

// strangers are addresses for documentation, which no proxy has.
var strangers = [...]net.IP{net.IPv4(203, 0, 113, 77), net.ParseIP("2001:db8::77")}

// Everybody reports whether the ranges of addresses that fiber takes for proxies
// have a stranger's in them, as 0.0.0.0/0 does, or its two halves. An entry that is
// no range is one address, or nothing to fiber.
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

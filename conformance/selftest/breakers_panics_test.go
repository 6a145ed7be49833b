package selftest

import "strings"

func init() {
	more = append(more,
		breaker{"dies of the first panic", []string{"panics", "exits", "wire/reserved-names", "limits/connecting"}, fault{frames: out(func(f frame) []frame {
			if strings.Contains(string(f.data), "alive") { // what another client asks for afterwards
				return nil
			}
			return []frame{f}
		})}},
		breaker{"loses what a client is told about joining", []string{
			"connect/kicked", "sio1/kicked", "connect/refused-timeout", "eio3/dropped-timeout", "connect/too-often", "connect/join-and-leave", "connect/dynamic-bound",
			"sio1/endpoint-without-slash", "limits/one-limit",
		}, fault{frames: out(func(f frame) []frame {
			if f.has("44") || f.has("7::") || f.has("1::/room") || f.has("40/chat,") {
				return nil
			}
			return []frame{f}
		})}},
		breaker{"words refusals its own way", []string{"eio3/kicked"}, fault{around: replaced(`"Disconnected"`, `"Go away, you"`)}},
	)
}

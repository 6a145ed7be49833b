package selftest

import (
	"regexp"
	"strings"
	"sync"
)

var secret = regexp.MustCompile(`,"pid":"[^"]*"`)

func init() {
	var mu sync.Mutex
	first := ""
	more = append(more,
		breaker{"tells nobody the secret of a session", []string{"recovery/wire"}, fault{frames: out(func(f frame) []frame {
			if f.has(`40{"sid"`) {
				return []frame{text(secret.ReplaceAllString(string(f.data), ""))}
			}
			return []frame{f}
		})}},
		breaker{"does not hear who comes back", []string{"recovery/missed"}, fault{frames: in(func(f frame) []frame {
			if f.has(`40{"pid"`) {
				return []frame{text("40")}
			}
			return []frame{f}
		})}},
		breaker{"takes everybody for one", []string{"recovery/new"}, fault{frames: out(func(f frame) []frame {
			if !f.has(`40{"sid"`) || !strings.Contains(string(f.data), `"pid"`) {
				return []frame{f}
			}
			mu.Lock()
			defer mu.Unlock()
			if first == "" {
				first = string(f.data)
			}
			return []frame{text(first)}
		})}},
	)
}

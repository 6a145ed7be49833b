package selftest

import (
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
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
		breaker{"keeps the first event", []string{"recovery/first-event"}, fault{frames: out(func(f frame) []frame {
			if f.has(`42["recovery"`) {
				return nil
			}
			return []frame{f}
		})}},
		breaker{"sends offsets to older clients", []string{"recovery/older-clients"}, fault{frames: out(func(f frame) []frame {
			if f.is(`42["shouted",1]`) {
				return []frame{text(`42["shouted",1,"offset"]`)}
			}
			return []frame{f}
		})}},
		breaker{"sends volatile events without an offset", []string{"recovery/volatile"}, fault{frames: out(func(f frame) []frame {
			if f.has(`42["volatile"`) {
				return []frame{text(`42["volatile"]`)}
			}
			return []frame{f}
		})}},
		breaker{"answers behind what was missed", []string{"recovery/answer-first"}, fault{frames: func() *filter {
			var back atomic.Bool
			var held []frame
			return &filter{
				in: func(f frame) []frame {
					if f.has(`40{"pid"`) {
						back.Store(true)
					}
					return []frame{f}
				},
				out: func(f frame) []frame {
					if back.Load() && f.has(`40{"sid"`) {
						held = []frame{f}
						return nil
					}
					list := append([]frame{f}, held...)
					held = nil
					return list
				},
			}
		}}},
		breaker{"lets in who was let in once", []string{"recovery/asked-again"}, fault{frames: in(func(f frame) []frame {
			if f.has(`40/secret,{"pid"`) {
				return []frame{text(strings.Replace(string(f.data), `"wrong"`, `"letmein"`, 1))}
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

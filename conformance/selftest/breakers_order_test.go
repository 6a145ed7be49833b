package selftest

import (
	"bytes"
	"strings"
)

func init() {
	forgetful := strings.NewReplacer(`"save"`, `"forget"`, `"drop"`, `""`)
	more = append(more,
		breaker{"loses what came before a goodbye on a websocket", []string{
			"goodbye/websocket", "goodbye/disconnect", "goodbye/overlap", "goodbye/malformed",
			"goodbye/kicked", "acks/behind-uploads", "limits/inbox",
		}, fault{frames: in(func(f frame) []frame {
			if f.b0 == 0x89 || len(f.data) > 200_000 {
				return nil
			}
			f.data = bytes.ReplaceAll(f.data, []byte(`"save`), []byte(`"lose`))
			f.data = bytes.ReplaceAll(f.data, []byte(`"kick"`), []byte(`""`))
			if strings.HasPrefix(string(f.data), "43") {
				return nil
			}
			return []frame{f}
		})}},
		breaker{"loses what came before a goodbye on polling", []string{
			"goodbye/polling", "goodbye/shutdown", "goodbye/eio3", "goodbye/sio1",
			"goodbye/sio1-request", "goodbye/sio1-connecting", "goodbye/dropped",
		}, fault{around: bodies(func(b string) string { return forgetful.Replace(b) })}},
	)
}

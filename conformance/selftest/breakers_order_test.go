package selftest

import (
	"bytes"
	"strings"
)

func init() {
	forgetful := strings.NewReplacer(`"save"`, `"forget"`, `"drop"`, `""`)
	more = append(more,
		breaker{"loses what came before a goodbye on a websocket", []string{
			"events/before-goodbye/websocket", "events/before-goodbye/disconnect", "events/before-goodbye/overlap", "events/before-goodbye/malformed",
			"events/before-goodbye/kicked", "acks/behind-uploads", "limits/inbox",
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
			"events/before-goodbye/polling", "events/before-goodbye/shutdown", "events/before-goodbye/eio3", "events/before-goodbye/sio1",
			"events/before-goodbye/sio1-request", "events/before-goodbye/sio1-connecting", "events/before-goodbye/dropped",
		}, fault{around: bodies(func(b string) string { return forgetful.Replace(b) })}},
	)
}

package virtsocket

import (
	"cmp"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
)

// filled gives the options that are required, and that a test has not set, some values.
func filled(o Options) Options {
	o.PingInterval = cmp.Or(o.PingInterval, 25*time.Second)
	o.PingTimeout = cmp.Or(o.PingTimeout, 20*time.Second)
	o.UpgradeTimeout = cmp.Or(o.UpgradeTimeout, 10*time.Second)
	o.CloseTimeout = cmp.Or(o.CloseTimeout, 60*time.Second)
	o.PollDuration = cmp.Or(o.PollDuration, 20*time.Second)
	o.MaxPayload = cmp.Or(o.MaxPayload, 1_000_000)
	o.MaxQueueMessages = cmp.Or(o.MaxQueueMessages, 1024)
	o.MaxQueueBytes = cmp.Or(o.MaxQueueBytes, 1<<20)
	o.MaxQuery = cmp.Or(o.MaxQuery, 16<<10)
	o.MaxHeaders = cmp.Or(o.MaxHeaders, 32<<10)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return o
}

// TestRequired: a hub without an option that is required is not made, and the panic
// names the option.
func TestRequired(t *testing.T) {
	accept := func(*Socket, host.Exchange) (Handler, *dialect.Refusal) { return nil, nil }
	for name, change := range map[string]func(*Options){
		"Accept":           func(o *Options) { o.Accept = nil },
		"Dialects":         func(o *Options) { o.Dialects = nil },
		"Polling":          func(o *Options) { o.Polling = nil },
		"Logger":           func(o *Options) { o.Logger = nil },
		"PingInterval":     func(o *Options) { o.PingInterval = 0 },
		"PollDuration":     func(o *Options) { o.PollDuration = 0 },
		"MaxQueueMessages": func(o *Options) { o.MaxQueueMessages = -1 },
	} {
		func() {
			defer func() {
				if r, _ := recover().(string); !strings.Contains(r, "Options."+name+" is required") {
					t.Errorf("without %s: %q", name, r)
				}
			}()
			o := every(fakeDuplex{})
			o.Accept = accept
			change(&o)
			NewHub(o)
		}()
	}
	o := every(fakeDuplex{})
	o.Accept, o.CloseTimeout, o.PollDuration = accept, 0, 0
	o.Dialects = o.Dialects[:1] // Engine.IO, which has no use for the two
	NewHub(o)
}

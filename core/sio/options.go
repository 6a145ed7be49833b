package sio

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/packet"
	"github.com/siokit/siokit/core/transport/polling"
	"github.com/siokit/siokit/core/transport/websocket"
)

// Options configure a [Server]. The zero value of every field means its default.
type Options struct {
	// PingInterval is how often the server asks a client whether it is there; 25 s.
	// Proxies that cut idle connections earlier need a shorter one.
	PingInterval time.Duration
	// PingTimeout is how long a client may take to answer; 20 s.
	PingTimeout time.Duration
	// UpgradeTimeout is how long an upgrade from polling may take; 10 s. After
	// it the client stays on polling.
	UpgradeTimeout time.Duration
	// ConnectTimeout is how long a client may stay without joining a namespace; 20 s.
	ConnectTimeout time.Duration
	// AckTimeout is how long Call waits for a client whose context has no
	// deadline of its own; 10 s.
	AckTimeout time.Duration

	// MaxPayload is the largest message or POST that a client may send, in bytes;
	// 1 000 000. The client is told. A larger one ends its connection.
	MaxPayload int64
	// MaxQueueBytes and MaxQueue bound what waits for one client that does not
	// keep up; 1 MiB and 1 024 messages. Beyond either it is disconnected with
	// SlowClient: its memory would otherwise grow without bound. A handler that
	// emits more in one go than the network takes reaches it as well.
	MaxQueueBytes int
	MaxQueue      int
	// MaxNamespaces is how many namespaces one client may join; 32.
	MaxNamespaces int
	// Limits bound the parts of incoming packets; packet.DefaultLimits.
	Limits packet.Limits

	// Transports are the enabled transports by name; "polling" and "websocket".
	Transports []string

	// Origins are the web origins, beside the server's own, whose pages may
	// connect, such as "https://app.example.com" or "https://*.example.com".
	// The single entry "*" admits every page without credentials: browsers then
	// send no cookies on polling.
	Origins []string
	// AllowOrigin decides about origins that are not in Origins. What it admits
	// may use credentials: never let it admit everything in production, or every
	// page on the web can act in the name of a visitor who is logged in here.
	AllowOrigin func(origin string) bool

	// OnHandshake is asked before a client is answered. An error refuses it
	// with status 403; the text of an *Error is shown, any other is logged. x is
	// the only way to the framework's live context (see the adapters' Context
	// functions) and must not be kept.
	OnHandshake func(ctx context.Context, r *Request, x host.Exchange) error

	// JSON encodes and decodes what is not encoded by hand; encoding/json.
	JSON JSON
	// Path is the mount point for a Server that is used as an http.Handler
	// without a pattern; "/socket.io".
	Path string
	// Logger receives what goes wrong; slog.Default().
	Logger *slog.Logger
}

// JSON is the codec for arguments and acks.
type JSON interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

type stdJSON struct{}

// Marshal leaves <, > and & alone, as JSON.stringify does.
func (stdJSON) Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

func (stdJSON) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// withDefaults returns a copy with every default filled in. It panics when
// options contradict each other: that is a mistake to be seen at start-up.
func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	dur := func(d *time.Duration, def time.Duration) {
		if *d < 0 {
			panic(fmt.Sprintf("sio: a negative duration in Options: %v", *d))
		}
		if *d == 0 {
			*d = def
		}
	}
	dur(&c.PingInterval, 25*time.Second)
	dur(&c.PingTimeout, 20*time.Second)
	dur(&c.UpgradeTimeout, 10*time.Second)
	dur(&c.ConnectTimeout, 20*time.Second)
	dur(&c.AckTimeout, 10*time.Second)
	if c.MaxPayload <= 0 {
		c.MaxPayload = 1_000_000
	}
	if c.MaxNamespaces <= 0 {
		c.MaxNamespaces = 32
	}
	if c.Limits == (packet.Limits{}) {
		c.Limits = packet.DefaultLimits
		// Attachments travel one message each; their sum may be a few messages.
		c.Limits.AttachmentBytes = max(c.Limits.AttachmentBytes, int(4*c.MaxPayload))
	}
	if len(c.Transports) == 0 {
		c.Transports = []string{polling.Name, websocket.Name}
	}
	for _, t := range c.Transports {
		if t != polling.Name && t != websocket.Name {
			panic(fmt.Sprintf("sio: Options.Transports: unknown transport %q", t))
		}
	}
	for _, origin := range c.Origins {
		if origin == "*" && (len(c.Origins) > 1 || c.AllowOrigin != nil) {
			panic(`sio: Options.Origins: "*" cannot be combined with other origins or AllowOrigin: it would give credentials to every page`)
		}
	}
	if c.JSON == nil {
		c.JSON = stdJSON{}
	}
	if c.Path == "" {
		c.Path = "/socket.io"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

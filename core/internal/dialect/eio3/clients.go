package eio3

import (
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/httpreq"
)

// Framing is the form of the payloads to clients that poll and can receive
// binary. Payloads with binary parts have the binary form in any case, and those
// for clients that have asked for b64 the text form.
type Framing uint8

// The choices.
const (
	// FramingDetected is FramingBinary for clients whose handshake has the
	// parameter t, against caches, as those of the official clients have, and
	// FramingText for others.
	FramingDetected Framing = iota
	// FramingText is what the servers of 2.1 and later send: without binary parts
	// a payload is text. Clients 1.0 to 1.3 do not read that.
	FramingText
	// FramingBinary is what the servers of 1.x sent. All clients of that time and
	// later read that, those that have asked for b64 excepted.
	FramingBinary
)

// Settings are what the dialect can be told about its clients. The zero value is
// the default.
type Settings struct {
	// Assume has clients that name no version taken for ones of this dialect.
	// Without it they are when they ask for b64, which no later client does.
	Assume bool
	// Framing is the form of the payloads to clients that poll.
	Framing Framing
	// Choose, when not nil, chooses for the client of a handshake in place of the
	// Repair of New. It must not panic.
	Choose func(x host.Exchange) Repair
}

// With returns the dialect with these settings.
func (d Dialect) With(s Settings) Dialect {
	d.more = s
	return d
}

// Guess implements dialect.Guesser. Clients for Swift up to 15.2 and some of small
// devices name no version; the servers of 1.x and 2.x did not ask for one.
func (d Dialect) Guess(x host.Exchange) bool {
	return x.Query("EIO") == "" && (d.more.Assume || x.Query("sid") != "" || httpreq.QueryCount(x.RawQuery(), "b64") > 0)
}

// Parse implements dialect.Dialect. The path does not matter: clients of cocos2d-x
// ask below those of 0.9, with the query of Engine.IO.
func (d Dialect) Parse(x host.Exchange) (dialect.Request, *dialect.Refusal) {
	req, ref := d.Base.Parse(x)
	if ref != nil || req.SID != "" {
		return req, ref
	}
	if d.more.Choose != nil {
		req.Own = d.more.Choose(x)
	}
	switch {
	case req.Base64 || req.Transport != dialect.Polling:
	case d.more.Framing == FramingDetected:
		req.Binary = httpreq.QueryCount(x.RawQuery(), "t") > 0
	default:
		req.Binary = d.more.Framing == FramingBinary
	}
	return req, nil
}

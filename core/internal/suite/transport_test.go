package suite_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/suite"
	"github.com/siokit/siokit/core/internal/transport/websocket"
	"github.com/siokit/siokit/internal/wire"
)

type peer struct{ *wire.WS }

func (p peer) Send(f packet.Frame) error {
	if f.Binary {
		p.SendBinary(f.Data)
	} else {
		p.WS.Send(string(f.Data))
	}
	return nil
}

func (p peer) Receive() (packet.Frame, error) {
	s, err := p.Read()
	if b, ok := strings.CutPrefix(s, "b"); ok {
		data, err := base64.StdEncoding.DecodeString(b)
		return packet.Frame{Binary: true, Data: data}, err
	}
	return packet.Frame{Data: []byte(s)}, err
}

func (p peer) Close() { _ = p.Raw(wire.Frame(0x88, []byte{0x03, 0xe8})) }

func TestRunTransport(t *testing.T) {
	const limit = 1 << 20
	suite.RunTransport(t, suite.TransportUnderTest{Transport: websocket.Transport{MaxPayload: limit}, Limit: limit, Dial: func(t testing.TB, url string) suite.Peer {
		w, a := wire.New(t, url, "/").Upgrade("", "")
		if w == nil {
			t.Fatal(a)
		}
		w.NoPong = true // "2" is a message like any other here
		return peer{w}
	}})
}

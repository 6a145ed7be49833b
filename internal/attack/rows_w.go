package attack

import (
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// bare is a frame whose header is written by hand: its bytes, and a mask of zeroes.
func bare(head ...byte) []byte { return append(head, 0, 0, 0, 0) }

// length64 is a text frame that announces n bytes.
func length64(n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, n), 0, 0, 0, 0)
}

var websocketRows = []Row{
	{ID: "W01", Sent: "a frame without a mask", Want: "1002", Run: frames([]int{1002}, []byte("\x81\x0241"))},
	{ID: "W02", Sent: "RSV1, RSV2 and RSV3", Want: "1002", Run: frames([]int{1002}, mask(0xc1, "41"), mask(0xa1, "41"), mask(0x91, "41"))},
	{ID: "W03", Sent: "each reserved opcode", Want: "1002", Run: frames([]int{1002}, mask(0x83, ""), mask(0x84, ""), mask(0x85, ""), mask(0x86, ""), mask(0x87, ""),
		mask(0x8b, ""), mask(0x8c, ""), mask(0x8d, ""), mask(0x8e, ""), mask(0x8f, ""))},
	{ID: "W04", Sent: "a continuation of nothing; a new text inside a message", Want: "1002", Run: frames([]int{1002}, mask(0x80, "41"), append(mask(0x01, "4"), mask(0x81, "1")...))},
	{ID: "W05", Sent: "a ping in fragments, and one of 126 bytes", Want: "1002", Run: frames([]int{1002}, mask(0x09, "a"), mask(0x89, strings.Repeat("p", 126)))},
	{ID: "W06", Sent: "closes of 1 byte, with codes that nobody may send, with a reason that is not UTF-8", Want: "1002, 1007 for the reason", Run: all(frames([]int{1002},
		mask(0x88, "\x03"), closing(1005), closing(1006), closing(999), closing(1004), closing(5000), mask(0x88, strings.Repeat("r", 126))),
		frames([]int{1002, 1007}, mask(0x88, "\x03\xe8\xff")))},
	{ID: "W07", Sent: "text that is not UTF-8, also over a border of fragments; a character over a border", Want: "1007; the character is accepted", Run: all(frames([]int{1007},
		mask(0x81, "42\xff"), mask(0x81, "42\xc0\xaf"), mask(0x81, "42\xed\xa0\x80"), append(mask(0x01, "42\xe2\x82"), mask(0x80, "\x41")...), append(mask(0x01, "42\xe2"), mask(0x80, "")...)), splitRune)},
	{ID: "W08", Sent: "lengths of 2^63, 2^62, 2^40 and near them", Want: "1002 or 1009, nothing is allocated", Run: frames([]int{1002, 1009},
		length64(1<<63), length64(1<<63-1), length64(1<<62), length64(1<<40))},
	{ID: "W09", Sent: "a message of one byte more than MaxPayload, in one frame and in two", Want: "1009", Run: tooLargeFrames},
	{ID: "W10", Sent: "a message in fragments of one byte", Want: "1008 beyond 1 024 fragments", Run: frames([]int{1008, 1009},
		append(mask(0x01, "4"), []byte(strings.Repeat(string(mask(0x00, "2")), 2000))...))},
	{ID: "W11", Sent: "fragments without a byte, without end", Want: "1008", Run: frames([]int{1008}, append(mask(0x01, "4"), []byte(strings.Repeat(string(mask(0x00, "")), 5000))...))},
	{ID: "W12", Sent: "compressed bombs", Want: "1002: compression is never agreed on, so that nothing is inflated", Run: all(noDeflate, frames([]int{1002}, mask(0xc1, strings.Repeat("\x00", 60_000))))},
	{ID: "W13", Sent: "a broken deflate stream, RSV1 on a control frame and on a continuation", Want: "1002", Run: frames([]int{1002}, mask(0xc1, "\xff\xff"), mask(0xc9, ""), append(mask(0x01, "4"), mask(0xc0, "1")...))},
	{ID: "W14", Sent: "offers of permessage-deflate with every parameter, twice, and 500 times", Want: "none is accepted, the connection works", Run: noDeflate},
	{ID: "W15", Sent: "20 000 pings whose pongs are not read", Want: "others are served; the connection ends or goes on", Run: pingFlood},
	{ID: "W16", Kind: quick, Sent: "half of a frame's header, and silence, 50 times", Want: "ping timeout", Run: silentHalf},
	{ID: "W17", Sent: "a fragment, and the end of the connection", Want: "no message, transport close", Run: halfThen(func(w *wire.WS) { _ = w.Conn.Close() })},
	{ID: "W18", Sent: "half of a frame, and a reset", Want: "no message, transport close or error", Run: halfThen(func(w *wire.WS) { w.Reset() })},
	{ID: "W19", Sent: "events behind a close frame", Want: "ignored; the connection is closed", Run: behindClose},
	{ID: "W20", Kind: quick, Sent: "a client that does not read is closed by the server", Want: "the session ends", Run: closedUnread},
	{ID: "W21", Kind: quick, Sent: "a frame whose bytes come one at a time", Want: "ping timeout: no pong can come", Run: slowFrame},
	{ID: "W22", Sent: "a mask of zeroes, and another one in each fragment", Want: "accepted", Run: masks},
	{ID: "W23", Sent: "a frame in the same segment as the opening handshake", Want: "handled", Run: earlyFrame},
	{ID: "W24", Sent: "300 connections that send one bad byte", Want: "nothing is left, the log does not grow with them", Run: badBytes},
	{ID: "W25", Sent: "the legal and the illegal forms of a frame in RFC 6455", Want: "as the RFC says", Elsewhere: "conformance: websocket/frames, websocket/bad-frame"},
	{ID: "W26", Sent: "many goroutines that emit to one client", Want: "whole messages, each sender's in order", Elsewhere: "conformance: limits/concurrent-writers"},
}

func closing(code uint16) []byte { return wire.Frame(0x88, binary.BigEndian.AppendUint16(nil, code)) }

func splitRune(a *A) {
	w, _ := a.joined()
	_ = w.Raw(append(mask(0x01, "42[\"echo\",\"\xe2\x82"), mask(0x80, "\xac\"]")...))
	a.want("echo", w.Next(), `42["echo","€"]`)
}

func tooLargeFrames(a *A) {
	text := `42["mark","` + strings.Repeat("x", int(a.S.opts.MaxPayload)-len(`42["mark",""]`)+1) + `"]`
	half := len(text) / 2
	for _, f := range [][]byte{mask(0x81, text), append(mask(0x01, text[:half]), mask(0x80, text[half:])...)} {
		w, id := a.joined()
		_ = w.Raw(f)
		a.want("close code", w.End().Code, 1009)
		a.ends(id, sio.TransportError)
		a.want("handled", len(a.S.marks(id)), 0)
	}
}

func noDeflate(a *A) {
	for _, offer := range []string{
		"permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=8; server_max_window_bits=15",
		"permessage-deflate; x=y", "permessage-deflate, permessage-deflate", strings.Repeat("permessage-deflate, ", 150) + "permessage-deflate",
	} {
		w, got := a.Upgrade(w4, "", "Sec-Websocket-Extensions", offer)
		if w == nil {
			a.Errorf("%.60s: %v", offer, got)
			continue
		}
		a.want("extensions", w.Head.Get("Sec-Websocket-Extensions"), "")
		w.Next()
		w.Send("40")
		w.Next()
		a.lives(w)
		_ = w.Conn.Close()
	}
}

func pingFlood(a *A) {
	w, _ := a.joined()
	flood := []byte(strings.Repeat(string(mask(0x89, "ping")), 1000))
	for range 20 {
		_ = w.Conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := w.Conn.Write(flood); err != nil {
			break
		}
	}
	other, _ := a.joined()
	a.lives(other)
}

func silentHalf(a *A) {
	ids := make(chan string, 50)
	var wg sync.WaitGroup
	for range cap(ids) {
		wg.Go(func() {
			w, id := a.joined()
			_ = w.Raw([]byte{0x81})
			ids <- id
		})
	}
	wg.Wait()
	close(ids)
	for id := range ids {
		a.ends(id, sio.PingTimeout)
	}
}

func halfThen(end func(w *wire.WS)) func(a *A) {
	return func(a *A) {
		w, id := a.joined()
		w.Send(`42["mark","whole"]`)
		_ = w.Raw(mask(0x01, `42["mark","half"`))
		f := mask(0x80, `]`)
		_ = w.Raw(f[:len(f)-1])
		a.eventually("the whole message", func() bool { return len(a.S.marks(id)) > 0 })
		end(w)
		a.ends(id, sio.TransportClose, sio.TransportError)
		a.want("handled", a.S.marks(id), []string{"whole"})
	}
}

func behindClose(a *A) {
	w, id := a.joined()
	_ = w.Raw(append(closing(1000), mask(0x81, `42["mark","behind"]`)...))
	a.want("close code", w.End().Code, 1000)
	a.ends(id, sio.TransportClose)
	a.want("handled", len(a.S.marks(id)), 0)
	w, id = a.joined()
	w.Send(`42["close"]`, `42["mark","behind"]`)
	for { // our close frame is never answered
		if _, _, err := w.ReadFrame(); err != nil {
			break
		}
	}
	a.ends(id, sio.ServerNamespace)
	a.want("handled", len(a.S.marks(id)), 0)
}

func closedUnread(a *A) {
	w, id := a.joined()
	w.Send(`42["burst",20,10000]`, `42["close"]`)
	a.ends(id, sio.ServerNamespace, sio.SlowClient)
}

func slowFrame(a *A) {
	w, id := a.joined()
	f := mask(0x81, `42["mark","`+strings.Repeat("x", 50_000)+`"]`)
	for _, b := range f {
		if _, ended := a.S.reason(id); ended {
			break
		}
		if w.Raw([]byte{b}) != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	a.ends(id, sio.PingTimeout)
}

func masks(a *A) {
	w, _ := a.joined()
	text := `42["echo",1]`
	_ = w.Raw(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...))
	a.want("zeroes", w.Next(), text)
	_ = w.Raw(append(append([]byte{0x01, 0x84, 0, 0, 0, 0}, text[:4]...), mask(0x80, text[4:])...))
	a.want("two masks", w.Next(), text)
}

func earlyFrame(a *A) {
	w, got := a.Upgrade(w4, string(mask(0x81, "40")))
	if w == nil {
		a.Fatalf("%v", got)
	}
	w.Next()
	a.want("the connect", strings.HasPrefix(w.Next(), "40{"), true)
	_ = w.Conn.Close()
}

func badBytes(a *A) {
	before := len(a.S.log.String())
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 30 {
				w, _ := a.WebSocket()
				_ = w.Raw(bare(0xff, 0x80))
				w.End()
			}
		})
	}
	wg.Wait()
	if n := len(a.S.log.String()) - before; n > 20_000 {
		a.Errorf("%d bytes of log", n)
	}
}

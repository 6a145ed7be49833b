package attack

import (
	"strings"

	"github.com/siokit/siokit/core/sio"
)

const (
	holder    = `{"_placeholder":true,"num":0}`
	holderOne = `{"_placeholder":true,"num":1}`
)

var attachmentRows = []Row{
	{ID: "B01", Sent: "numbers of attachments that are none", Want: "the connection ends, malformed packet", Run: refused(malformed,
		each("45", "451", "45a-", "451.5-", "45-1-", "45 1-", `4501-["mark"]`, "45+1-", "45٣-", `45-["mark"]`)...)},
	{ID: "B02", Sent: "numbers of attachments beyond memory", Want: "as B01, nothing is allocated", Run: refused(malformed, each(`45999999999-["mark"]`, `451832742252-["mark"]`, `4518446744073709551616-["mark"]`)...)},
	{ID: "B03", Sent: "eleven attachments", Want: "as B01", Run: refused(malformed, each(`4511-["mark",`+holder+`]`)...)},
	{ID: "B04", Kind: quick, Sent: "a binary packet whose attachment never comes", Want: "the connection ends at AttachmentTimeout", Run: missingAttachment, Elsewhere: "TestAttachmentsInTime"},
	{ID: "B05", Sent: "a binary packet for a namespace that was not joined, and before CONNECT", Want: "the connection ends at the header", Run: all(refused(misplaced, each(`451-/chat,["mark",`+holder+`]`)...), binaryFirst)},
	{ID: "B06", Sent: "text while attachments are due", Want: "as B01", Run: refused(malformed, []string{`451-["mark",` + holder + `]`, `42["mark","x"]`})},
	{ID: "B07", Sent: "binary that nobody waits for, also before CONNECT", Want: "as B01", Run: all(refused(malformed, each("b\x01\x02")...), binaryBefore)},
	{ID: "B08", Sent: "placeholders whose num is out of range or no whole number", Want: "as B01", Run: refused(malformed, each(num("10"), num("-1"), num(`"splice"`), num("0.5"), num("1e0"), num("null"), num("[0]"),
		`451-["mark",{"_placeholder":true}]`)...)},
	{ID: "B09", Sent: "placeholders twice, too few, too many", Want: "as B01", Run: refused(malformed, each(`452-["mark",`+holder+`,`+holder+`]`, `452-["mark",`+holder+`]`, `451-["mark",1]`, `451-["mark",`+holder+`,`+holderOne+`]`)...)},
	{ID: "B10", Sent: "a placeholder in an event without attachments", Want: "an ordinary object", Run: accepted([2]string{`42["echo",` + holder + `]`, `42["echo",` + holder + `]`})},
	{ID: "B11", Sent: "_placeholder that is not true", Want: "an ordinary object", Run: notPlaceholders},
	{ID: "B12", Sent: "five attachments of MaxPayload each, and ten, which are more together than AttachmentBytes", Want: "handled; the connection ends at the bound", Run: largeAttachments, Elsewhere: "TestAttachmentBytes"},
	{ID: "B13", Sent: "a placeholder nested 10 000 deep", Want: "as B01", Run: refused(malformed, each(`451-["mark",`+strings.Repeat("[", 10_000)+holder+strings.Repeat("]", 10_000)+`]`)...)},
	{ID: "B14", Sent: "a binary packet of no attachments", Want: "as B01", Differs: "the number stands for attachments that follow, and no client sends a packet for none; the decoder cannot be stuck behind it either way",
		Run: refused(malformed, each(`450-["mark","x"]`)...)},
	{ID: "B15", Sent: "base64 in a body between texts, and before its packet", Want: "in order it is an attachment, else as B01", Run: all(mixedBody, refused(malformed, []string{"b\x01", `451-["mark",` + holder + `]`},
		[]string{`451-["mark",` + holder + `]`, `42["mark","x"]`, "b\x01"}))},
	{ID: "B16", Sent: "attachments that a handler keeps while others come", Want: "the bytes are its own", Elsewhere: "TestBinary, conformance: wire/nested-binary"},
}

func num(n string) string { return `451-["mark",{"_placeholder":true,"num":` + n + `}]` }

func missingAttachment(a *A) {
	w, id := a.joined()
	w.Send(`451-["mark",` + holder + `]`)
	a.ends(id, sio.MalformedPacket)
	_ = w.Conn.Close()
}

func binaryFirst(a *A) {
	w, _ := a.WebSocket()
	w.Send(`451-["mark",` + holder + `]`)
	w.End()
}

func binaryBefore(a *A) {
	w, _ := a.WebSocket()
	w.SendBinary([]byte{1, 2, 3})
	w.End()
}

func notPlaceholders(a *A) {
	for _, v := range []string{`{"_placeholder":"true","num":0}`, `{"_placeholder":1,"num":0}`, `{"_placeholder":false,"num":0}`} {
		accepted([2]string{`42["echo",` + v + `]`, `42["echo",` + v + `]`})(a)
	}
}

func largeAttachments(a *A) {
	w, _ := a.joined()
	var list []string
	for i := range 10 {
		list = append(list, `{"_placeholder":true,"num":`+string(rune('0'+i))+`}`)
	}
	large := make([]byte, a.S.opts.MaxPayload)
	w.Send(`455-["silent",` + strings.Join(list[:5], ",") + `]`)
	for range 5 {
		w.SendBinary(large)
	}
	a.lives(w)
	w, id := a.joined()
	w.Send(`4510-["mark",` + strings.Join(list, ",") + `]`)
	for range 10 {
		w.SendBinary(large)
	}
	w.End()
	a.ends(id, sio.MalformedPacket)
}

func mixedBody(a *A) {
	s := a.polling()
	s.Join("")
	s.Post(`42["echo",1]` + "\x1e" + `451-["echo",` + holder + `]` + "\x1ebAQID\x1e" + `42["echo",2]`)
	a.want("packets", strings.Join(s.Packets(4), " "), `42["echo",1] 451-["echo",`+holder+`] bAQID 42["echo",2]`)
}

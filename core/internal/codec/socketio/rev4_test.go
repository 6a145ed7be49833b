package socketio

import (
	"encoding/json"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

// TestRev4 holds the rows of protocol 4.2 and 5 in which revision 4 differs.
func TestRev4(t *testing.T) {
	for in, want := range map[string]struct{ ns, query, data string }{
		`0`:                        {"/", "", ""},
		`0/chat`:                   {"/chat", "", ""},
		`0/chat,`:                  {"/chat", "", ""},
		`0/chat?token=1,`:          {"/chat", "token=1", `{"token":"1"}`},
		`0/chat?token=1&a=b%20c&a`: {"/chat", "token=1&a=b%20c&a", `{"a":"b c","token":"1"}`},
		`0/chat,{"token":"x"}`:     {"/chat", "", ""}, // parsed, then ignored
	} {
		p, err := NewRev4Decoder(&packet.DefaultLimits).Text([]byte(in))
		if err != nil || p.Namespace != want.ns || p.Query != want.query || string(p.Data) != want.data {
			t.Errorf("%s: %+v, %v", in, p, err)
		}
	}
	for _, in := range []string{`0/chat,[1]`, `0/chat,"x"`, `0/chat?%zz,`, `2["connect"]`, `07`} {
		if p, err := NewRev4Decoder(&packet.DefaultLimits).Text([]byte(in)); err == nil {
			t.Errorf("%s: %+v", in, p)
		}
	}
	for want, p := range map[string]packet.Packet{
		`0`:                          {Type: packet.Connect, Namespace: "/", Data: json.RawMessage(`{"sid":"x"}`)},
		`0/chat,`:                    {Type: packet.Connect, Namespace: "/chat", Data: json.RawMessage(`{"sid":"x"}`)},
		`4/p,{"code":7}`:             {Type: packet.ConnectError, Namespace: "/p", Data: json.RawMessage(`{"message":"nope","data":{"code":7}}`)},
		`4/q,"plain"`:                {Type: packet.ConnectError, Namespace: "/q", Data: json.RawMessage(`{"message":"plain"}`)},
		`4/nope,` + invalidNamespace: {Type: packet.ConnectError, Namespace: "/nope", Data: json.RawMessage(packet.InvalidNamespace)},
		`4/chat,{"code":"internal"}`: {Type: packet.Failure, Namespace: "/chat", Data: json.RawMessage(`{"code":"internal"}`)},
		`2/chat,7["e","\u00e9\u20ac\ud83d\ude00\u2028"]`: {Type: packet.Event, Namespace: "/chat", ID: 7, HasID: true, Data: json.RawMessage("[\"e\",\"é€😀\u2028\"]")},
	} {
		if got := AppendRev4(nil, &p); string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

const invalidNamespace = `{"message":"Invalid namespace"}`

// FuzzRev4: nothing that is accepted lacks what its type needs.
func FuzzRev4(f *testing.F) {
	for _, s := range []string{`0/chat?token=1&a=b,`, `0/chat,{"a":1}`, `2["a",1]`, `43["x"]`, `51-["a",{"_placeholder":true,"num":0}]`, `0/a?%zz`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := NewRev4Decoder(&packet.DefaultLimits).Text(data)
		if err != nil || p == nil {
			return
		}
		if p.Type == packet.Connect && p.Data != nil && !json.Valid(p.Data) {
			t.Fatalf("%q: %s", data, p.Data)
		}
		for _, a := range p.Args {
			if !json.Valid(a) {
				t.Fatalf("%q: %s", data, a)
			}
		}
	})
}

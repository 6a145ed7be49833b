package nodewire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/cluster"
)

// sessionVectors are sessions as the adapter for streams keeps them.
var sessionVectors = []struct {
	name, text string
	s          cluster.Session
	readOnly   string // see vector
}{
	{name: "a session", text: sessionText("\x84\xa3sid\xb41TNYzcbvDEUUsqVmAAAA\xa3pid\xb4xfCZ4wVEl7Q3mkCiAAAB\xa5rooms\x92\xb41TNYzcbvDEUUsqVmAAAA\xa2r1\xa4data\x80"),
		s: cluster.Session{ID: "1TNYzcbvDEUUsqVmAAAA", PID: "xfCZ4wVEl7Q3mkCiAAAB", Rooms: []string{"1TNYzcbvDEUUsqVmAAAA", "r1"}, Data: data(`{}`)}},
	{name: "data", text: sessionText("\x84\xa3sid\xa1s\xa3pid\xa1p\xa5rooms\x91\xa1s\xa4data\x82\xa4name\xa3ann\xa1n\x91\xcd\x01,"),
		s: cluster.Session{ID: "s", PID: "p", Rooms: []string{"s"}, Data: data(`{"name":"ann","n":[300]}`)}},
	{name: "a number as a room", text: sessionText("\x84\xa3sid\xa1s\xa3pid\xa1p\xa5rooms\x92\xa1s\x0c\xa4data\x80"),
		s: cluster.Session{ID: "s", PID: "p", Rooms: []string{"s", "12"}, Data: data(`{}`)}, readOnly: "a number"},
	{name: "no data", text: sessionText("\x84\xa3sid\xa1s\xa3pid\xa1p\xa5rooms\x90\xa4data\xc0"),
		s: cluster.Session{ID: "s", PID: "p"}, readOnly: "nil"},
}

func sessionText(msgpack string) string {
	return base64.StdEncoding.EncodeToString([]byte(msgpack))
}

func TestSession(t *testing.T) {
	if !strings.HasPrefix(sessionVectors[0].text, "hKNzaWS0") {
		t.Error(sessionVectors[0].text)
	}
	for _, v := range sessionVectors {
		t.Run(v.name, func(t *testing.T) {
			var s cluster.Session
			if err := ParseSession([]byte(v.text), &s); err != nil {
				t.Fatal(err)
			}
			if len(s.Rooms) == 0 {
				s.Rooms = nil
			}
			if !reflect.DeepEqual(s, v.s) {
				t.Errorf("%+v", s)
			}
			b, err := AppendSession([]byte("x"), &v.s)
			if err != nil || v.readOnly == "" && string(b) != "x"+v.text {
				t.Errorf("%s, %v", b, err)
			}
			if err := nodeTakesSession(b[1:]); err != nil {
				t.Error(err)
			}
		})
	}
	for what, s := range map[string]cluster.Session{
		"no id":             {PID: "p"},
		"no secret":         {ID: "s"},
		"a room of garbage": {ID: "s", PID: "p", Rooms: []string{"\xff"}},
		"a long id":         {ID: strings.Repeat("s", maxText+1), PID: "p"},
		"data of garbage":   {ID: "s", PID: "p", Data: data(`{`)},
	} {
		if b, err := AppendSession([]byte("x"), &s); !errors.Is(err, errMalformed) || string(b) != "x" {
			t.Errorf("%s: %q, %v", what, b, err)
		}
	}
	// An application of Node reads members of it.
	null := cluster.Session{ID: "s", PID: "p", Rooms: []string{"s"}, Data: data(" null\n")}
	if b, err := AppendSession(nil, &null); err != nil || string(b) != sessionText("\x84\xa3sid\xa1s\xa3pid\xa1p\xa5rooms\x91\xa1s\xa4data\x80") {
		t.Errorf("%s, %v", b, err)
	}
	// Node's reader throws for such a key: the data is left out, and the client comes back.
	proto := cluster.Session{ID: "s", PID: "p", Data: data(`{"__proto__":1}`)}
	if b, err := AppendSession(nil, &proto); err != nil || nodeTakesSession(b) != nil {
		t.Errorf("%s, %v", b, err)
	}
	for _, text := range append(sessionKillers, "", "{}", "*", sessionText(""), sessionText("\xc0"), sessionText("\x90"), sessionText("\x80"), sessionText("{}"),
		sessionText("\x84\xa3sid\xa1s\xa3pid\xa1p\xa5rooms\xa1s\xa4data\x80"), sessionText("\x84\xa3sid\xa1s\xa3pid\xa1p\xa5rooms\x91\xc0\xa4data\x80"),
		sessionText("\x84\xa3sid\x90\xa3pid\xa1p\xa5rooms\x90\xa4data\x80"), sessionText("\x84\xa3sid\xa1s\xa3pid\xa1p\xa5rooms\x90\xa4data\x80x")) {
		var s cluster.Session
		if err := ParseSession([]byte(text), &s); !errors.Is(err, errMalformed) {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
}

// sessionKillers are what harms Node's reader: it throws, and the client is a new one there.
var sessionKillers = []string{
	sessionText("\xc1"), sessionText("\x84\xa3sid"), sessionText("\xdf\xff\xff\xff\xff"), sessionText("\xdd\xff\xff\xff\xff"),
}

// nodeTakesSession is what the adapter for streams, and a socket of Node, do with a session.
func nodeTakesSession(b []byte) error {
	s := &strict{}
	text, err := base64.StdEncoding.Strict().DecodeString(string(b))
	s.want(err == nil && len(text) > 0 && text[0] != '{', "base64: %v", err)
	m := s.object(s.decode(text, true), "a session", "sid", "pid", "rooms", "data")
	s.text(m["sid"], "sid")
	s.text(m["pid"], "pid")
	s.texts(m["rooms"], "rooms")
	return errors.Join(s.errs...)
}

func FuzzAppendSession(f *testing.F) {
	f.Add("sid", "pid", "room", []byte(`{"a":[1,"x",null]}`))
	f.Add("", "pid", "\xff", []byte(`{"__proto__":1}`))
	f.Add("s", "p", "", []byte(`"\ud800"`))
	f.Add("s", "p", "r", []byte(` null `))
	f.Add("s", "p", "r", []byte(`{"a":[-1e999,10000000000000000E0]}`))
	f.Fuzz(func(t *testing.T, id, pid, room string, data []byte) {
		s := cluster.Session{ID: id, PID: pid, Rooms: []string{id, room}, Data: data}
		b, err := AppendSession([]byte("x"), &s)
		if err != nil {
			if string(b) != "x" || !errors.Is(err, errMalformed) {
				t.Fatalf("%q, %v", b, err)
			}
			return
		}
		if err := nodeTakesSession(b[1:]); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		var back cluster.Session
		if err := ParseSession(b[1:], &back); err != nil || back.ID != id || back.PID != pid || !slices.Equal(back.Rooms, s.Rooms) {
			t.Fatalf("%q: %+v, %v", b, back, err)
		}
		if again, err := AppendSession([]byte("x"), &back); err != nil || !bytes.Equal(again, b) && !reshaped(data) {
			t.Fatalf("%q, %v\ninstead of\n%q", again, err, b)
		}
	})
}

func FuzzParseSession(f *testing.F) {
	for _, v := range sessionVectors {
		f.Add([]byte(v.text))
	}
	for _, k := range sessionKillers {
		f.Add([]byte(k))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s cluster.Session
		if ParseSession(b, &s) != nil {
			return
		}
		if s.ID == "" || s.PID == "" || s.Data != nil && !json.Valid(s.Data) {
			t.Fatalf("%+v", s)
		}
		if out, err := AppendSession(nil, &s); err == nil && nodeTakesSession(out) != nil {
			t.Fatalf("%q: %v", out, nodeTakesSession(out))
		}
	})
}

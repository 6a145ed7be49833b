package multipart

import (
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

// parts reads an answer with another reader of the format.
func parts(t *testing.T, contentType, body string, n int) (list []string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/x-mixed-replace" {
		t.Fatal(contentType, err)
	}
	r := multipart.NewReader(strings.NewReader(body), params["boundary"])
	for range n {
		p, err := r.NextPart()
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if got := p.Header.Get("Content-Type"); got != "text/plain; charset=UTF-8" || len(p.Header) != 1 {
			t.Fatalf("header %v", p.Header)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(b))
	}
	return list
}

func TestAnswer(t *testing.T) {
	a, b := Form{}.Answer(packet.Script{Head: "sid"}), Form{}.Answer(packet.Script{})
	if a.ContentType == b.ContentType {
		t.Error("two answers have the same boundary")
	}
	body := string(a.Wrap(a.Wrap([]byte(a.Head), []byte("1::")), []byte("8::")))
	if got := parts(t, a.ContentType, body, 3); strings.Join(got, " ") != "sid 1:: 8::" {
		t.Errorf("%q", got)
	}
	body = string(b.Wrap([]byte(b.Head), []byte("a")))
	if got := parts(t, b.ContentType, body, 1); got[0] != "a" {
		t.Errorf("%q", got)
	}
	if !a.Stream || (Form{}).Name() != Name {
		t.Errorf("%+v", a)
	}
}

// FuzzAnswer: whatever a message holds, it is one part (J10 of reliability a3).
func FuzzAnswer(f *testing.F) {
	f.Add("3:::a")
	f.Add("\r\n--socketio\r\nContent-Type: text/html\r\n\r\n<script>")
	f.Fuzz(func(t *testing.T, payload string) {
		a := Form{}.Answer(packet.Script{})
		body := string(a.Wrap(a.Wrap([]byte(a.Head), []byte(payload)), []byte("next")))
		if got := parts(t, a.ContentType, body, 2); got[0] != payload || got[1] != "next" {
			t.Fatalf("%q: %q", payload, got)
		}
	})
}

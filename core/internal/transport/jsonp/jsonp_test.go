package jsonp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

func TestAnswer(t *testing.T) {
	a := Form{}.Answer(packet.Script{Before: "io.j[2](", After: ");"})
	if got := a.Wrap(nil, []byte("1::")); string(got) != `io.j[2]("1::");` {
		t.Errorf("%s", got)
	}
	if a.Stream || !a.Escaped || a.ContentType != "text/javascript; charset=UTF-8" || (Form{}).Name() != Name {
		t.Errorf("%+v", a)
	}
}

// FuzzAnswer: the one argument of the call is the payload, whatever it is.
func FuzzAnswer(f *testing.F) {
	f.Add("1::")
	f.Add(`4</script><!--");alert(1)//` + "\u2028")
	f.Fuzz(func(t *testing.T, payload string) {
		out := string(Form{}.Answer(packet.Script{Before: "___eio[0](", After: ");"}).Wrap(nil, []byte(payload)))
		arg, ok := strings.CutPrefix(out, "___eio[0](")
		arg, ok2 := strings.CutSuffix(arg, ");")
		var back string
		if err := json.Unmarshal([]byte(arg), &back); !ok || !ok2 || err != nil || back != string([]rune(payload)) {
			t.Fatalf("%q: %s, %v", payload, out, err)
		}
		if strings.ContainsAny(out, "<\u2028\u2029\n") {
			t.Fatalf("%q: %s", payload, out)
		}
	})
}

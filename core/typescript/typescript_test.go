package typescript_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/core/typescript"
)

type base struct {
	ID int64 `json:"id,string"`
}

// Message has a field of every kind.
type Message struct {
	base
	Room     string            `json:"room"`
	Text     *string           `json:"text,omitempty"`
	At       time.Time         `json:"at,omitzero"`
	From     netip.Addr        `json:"from"`
	Files    map[string][]byte `json:"files"`
	Replies  []Message         `json:"replies"`
	Point    struct{ X, Y float64 }
	Raw      json.RawMessage `json:"raw"`
	Number   *big.Int        `json:"number"`
	Anything any             `json:"anything"`
	Inner    base            `json:"inner"`
	Flags    [2]bool         `json:"flags"`
	Hidden   string          `json:"-"`
	//lint:ignore SA5008 the tag is what is tested
	Dash string `json:"-,"`
}

// server has an event of every shape.
func server() *sio.Server {
	srv := sio.NewServer(nil)
	n := srv.Of("/")
	n.On("say", sio.Reply(func(_ context.Context, _ *sio.Socket, m Message) (time.Time, error) { return m.At, nil }))
	n.On("move", sio.Handle(func(context.Context, *sio.Socket, sio.Args2[int, int]) error { return nil }))
	n.On("save", sio.Reply(func(context.Context, *sio.Socket, []byte) (sio.None, error) { return sio.None{}, nil }))
	n.On("raw event", sio.HandlerFunc(func(context.Context, *sio.Event) error { return nil }))
	sio.DeclareEvent[Message](n, "said")
	sio.DeclareEvent[sio.None](n, "tick")
	sio.DeclareCall[string, bool](n, "sure?")
	p := srv.OfPattern("/project/{id}")
	type Message struct{ Other bool } // another one with the same name
	p.On("say", sio.Handle(func(context.Context, *sio.Socket, Message) error { return nil }))
	return srv
}

// TestWrite: interop has the official compiler check what is written here.
func TestWrite(t *testing.T) {
	var got bytes.Buffer
	if err := typescript.Write(&got, server().Contract()); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/contract.ts"
	if os.Getenv("SIOKIT_UPDATE") == "1" {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%v; %s does not hold (SIOKIT_UPDATE=1 writes it):\n%s", err, file, got.String())
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestWriteFails(t *testing.T) {
	if err := typescript.Write(failing{}, server().Contract()); err == nil || !strings.Contains(err.Error(), "full") {
		t.Error(err)
	}
}

package mixin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// Once handles an event once, however often its client sends it. Clients that were told to
// try again, such as official ones with the options retries and ackTimeout, send an event until
// its ack has come, also after a reconnect, and nothing in the packet says that it is the same
// event. So the application gives each event an id. Once remembers for a while which events
// were handled and what the answers were, errors and binary answers included, and repeats the
// answer in place of running the handler again. While the handler still runs, the repetition
// waits for its answer, also when the run belongs to a connection that has ended.
//
// By default the id is a first argument {"once": id} with a string or a number, which the
// handler does not see. Events without it, and those that ask for no ack, are handled as
// without Once.
//
// An event is the same when client, namespace, name and id are. What a policy has refused, and
// what no handler has seen, is not remembered. Once wraps the handlers inside of middleware
// that was added before it; Concurrent belongs there.
//
// What is remembered is in the memory of this process, within the bounds below: a restart
// forgets it, and in a cluster a client that reconnects may come to another node, which knows
// nothing. When a bound is reached, the events that were handled first are forgotten first. An
// event that is sent again after that is handled again. An event whose handler runs is never
// forgotten. An answer that is larger than Bytes is not kept: the repetition gets an error
// with the code "handled".
//
// A handler that Once runs has a context that ends five seconds after the socket, not with it,
// since its answer is still wanted then. It has the deadline of the context that Once is called
// with, and ends with that. When middleware outside of Once ends that context in another way, the
// handler's ends five seconds later, as if the socket had ended.
//
// An event whose handler has returned nil without an ack, as with a Loop, stays unanswered as long
// as its socket lives, and its repetitions wait. When that socket has ended without an ack, a
// repetition is handled as a new event. An error or a panic is an answer: middleware outside of
// Once that keeps an error from the server leaves the event unanswered for Keep.
//
// A Once must not be copied after its first use.
type Once struct {
	// Client returns who the client is, of one user or of one page that was loaded, and
	// the same before and after a reconnect; "" for a socket whose events are not
	// remembered. It is required, and called with each event. Whoever has the same name
	// and id gets the answer, so a name that clients choose should be long and random,
	// with the user in front of it where there is one. 256 bytes at most.
	Client func(s *sio.Socket) string
	// ID returns the id of an event, "" for an event that is to be handled as without
	// Once. It may take the id out of ev.Args. nil means a first argument {"once": id}.
	// 256 bytes at most.
	ID func(ev *sio.Event) string
	// Keep is how long an event is remembered after its handler has returned; 10 min. It should
	// be longer than a client tries: (retries + 1) times ackTimeout, and the time that it
	// may be without a network.
	Keep time.Duration
	// PerClient is how many events are remembered for each client; 100. Official clients with
	// retries send one at a time.
	PerClient int
	// Bytes is how much is remembered for each client; 256 KiB. 650 bytes for each event count,
	// 500 more while a repetition of it waits, and attachments.
	Bytes int
	// MaxBytes is how much is remembered for all clients together; 64 MiB. An event with a
	// small answer takes about 700 bytes, and each client 600 bytes and its name.
	MaxBytes int

	memory memory
	mixed  sio.Key[bool]
}

// maxOnceName bounds the name of a client and the id of an event, in bytes.
const maxOnceName = 256

var _ sio.Mixin = (*Once)(nil)

// Mix panics when Client is nil, and when the namespace has this Once already.
func (o *Once) Mix(n *sio.Namespace) {
	if o.Client == nil {
		panic("mixin: Once without Client")
	}
	if _, twice := o.mixed.Get(n); twice {
		panic(fmt.Sprintf("mixin: namespace %s has this Once already", n.Path()))
	}
	o.mixed.Set(n, true)
	n.Use(o.wrap)
}

func (o *Once) wrap(next sio.Handler) sio.Handler {
	return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
		id, err := o.id(ev)
		if err != nil {
			return err
		}
		if id == "" || !ev.WantsAck() {
			return next.ServeEvent(ctx, ev)
		}
		client := o.Client(ev.Socket)
		if client == "" {
			return next.ServeEvent(ctx, ev)
		}
		if len(id) > maxOnceName || len(client) > maxOnceName {
			return sio.Errorf(sio.CodeBadArgument, "an id of more than %d bytes", maxOnceName)
		}
		run, first := o.memory.begin(client, eventID{ev.Socket.Namespace().Path(), ev.Name, id}, o.limits(), ev.Socket.Context())
		if !first {
			return run.repeat(ev)
		}
		ev.OnAck(run.answered)
		failed := true // also when the handler panics, or ends its goroutine
		defer func() { run.returned(failed) }()
		ctx, cancel := outliving(ctx)
		defer cancel()
		err = next.ServeEvent(ctx, ev)
		failed = err != nil && err != error((*sio.Error)(nil)) // which is nil for the server too
		return err
	})
}

// onceHandlerTime is how much longer than its socket the context of a handler lives.
const onceHandlerTime = 5 * time.Second

// outliving returns a context that ends onceHandlerTime after ctx, or at once when the time of ctx
// is over. The end of a connection is what has its client send again: the handler must not stop
// half-way for that.
func outliving(ctx context.Context) (context.Context, context.CancelFunc) {
	var own context.Context
	var cancel context.CancelFunc
	at, timed := ctx.Deadline()
	if timed {
		own, cancel = context.WithDeadline(context.WithoutCancel(ctx), at)
	} else {
		own, cancel = context.WithCancel(context.WithoutCancel(ctx))
	}
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			if !timed { // else own ends by itself, and with that error
				cancel()
			}
			return
		}
		timer := time.NewTimer(onceHandlerTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-own.Done():
		}
	})
	return own, func() { stop(); cancel() }
}

// errHandled answers a repetition whose answer was too large to be kept.
var errHandled = &sio.Error{Code: "handled", Message: "handled already, and the answer is not kept"}

// id is the id of an event.
func (o *Once) id(ev *sio.Event) (string, error) {
	if o.ID != nil {
		return o.ID(ev), nil
	}
	first := ev.Args.Raw(0)
	if len(first) == 0 || first[0] != '{' || !bytes.Contains(first, []byte(`"once"`)) {
		return "", nil
	}
	var only map[string]json.RawMessage
	if err := ev.Args.Bind(&only); err != nil {
		return "", err
	}
	raw, ok := only["once"]
	if !ok || len(only) > 1 {
		return "", nil
	}
	if c := raw[0]; c != '"' && c != '-' && (c < '0' || c > '9') {
		return "", sio.Errorf(sio.CodeBadArgument, "once is neither a string nor a number")
	}
	ev.Args = ev.Args.Slice(1)
	return string(raw), nil
}

// onceLimits are the bounds of a Once, with defaults.
type onceLimits struct {
	keep             time.Duration
	last, bytes, all int
}

func (o *Once) limits() onceLimits {
	return onceLimits{or(o.Keep, 10*time.Minute), or(o.PerClient, 100), or(o.Bytes, 256<<10), or(o.MaxBytes, 64<<20)}
}

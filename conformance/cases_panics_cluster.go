package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

// panicsBus is what the servers of these cases share with another one; with Clustered there are
// others already.
var panicsBus = cluster.NewBus()

func panicsClusterOpts(o *sio.Options) { o.Cluster = panicsBus.Backend() }

func panicsHandleServersServe(srv *sio.Server) {
	sio.HandleServers(srv.Of("/"), "boom", func(context.Context, sio.None) error { panic("HandleServers") })
	panicsAskedByAnother(srv)
}

func panicsOnServerServe(srv *sio.Server) {
	srv.OnServer(func(string, bool) { panic("OnServer") })
	sio.ReplyServers(srv.Of("/"), "boom", func(context.Context, sio.None) (int, error) { return 42, nil })
	panicsAskedByAnother(srv)
}

// panicsAskedByAnother has the server ask the others of its cluster, or be asked by one where
// there are none, and a client told of the answers, which are alike.
func panicsAskedByAnother(srv *sio.Server) {
	srv.Of("/").On("other", sio.Reply(func(ctx context.Context, _ *sio.Socket, _ sio.None) (string, error) {
		answers, err := sio.CallServers[int](ctx, srv.Of("/"), "boom")
		if err == nil && len(answers) == 0 {
			var o sio.Options
			panicsClusterOpts(&o)
			other := sio.NewServer(&o)
			defer func() { _ = other.Shutdown(context.WithoutCancel(ctx)) }()
			answers, err = sio.CallServers[int](ctx, other.Of("/"), "boom")
		}
		said := map[string]bool{}
		for _, a := range answers {
			var refused *sio.Error
			if errors.As(a.Err, &refused) {
				said[refused.Code] = true
			} else {
				said[fmt.Sprint(a.Value)] = true
			}
		}
		if err != nil || len(said) != 1 {
			return fmt.Sprint(answers, err), nil
		}
		return slices.Collect(maps.Keys(said))[0], nil
	}))
}

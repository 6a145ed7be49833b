package bustest

import (
	"context"
	"slices"

	"github.com/siokit/siokit/core/cluster"
)

// Faulty is a backend with a fault, for tests that have to see it.
type Faulty struct {
	cluster.Backend
	// Change returns what is published instead of copies of these messages; nil: as it should be.
	Change func(ms []*cluster.Message) []*cluster.Message
	// Watched returns what is watched instead of this copy; nil: as it should be.
	Watched func(list []cluster.Interest) []cluster.Interest
}

// Publish publishes what Change returns.
func (f *Faulty) Publish(ctx context.Context, ms []*cluster.Message) error {
	if f.Change != nil {
		var own []*cluster.Message
		for _, m := range ms {
			own = append(own, m.Clone())
		}
		ms = f.Change(own)
	}
	return f.Backend.Publish(ctx, ms)
}

// Watch watches what Watched returns.
func (f *Faulty) Watch(ctx context.Context, list []cluster.Interest) error {
	if f.Watched != nil {
		list = f.Watched(slices.Clone(list))
	}
	return f.Backend.Watch(ctx, list)
}

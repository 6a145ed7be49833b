package sio

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// undated hides the deadline of a context.
type undated struct{ context.Context }

func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// TestLeaveTime: the goodbye to the other nodes has clusterLeaveTime behind the end of Shutdown's
// context, whether that comes before the goodbye or in the middle of it.
func TestLeaveTime(t *testing.T) {
	const soon = 300 * time.Millisecond
	for _, row := range []struct {
		name string
		ctx  func(t *testing.T) context.Context
		ends time.Duration // of the context of the goodbye
		err  error
	}{
		{"ended before", func(*testing.T) context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx
		}, clusterLeaveTime, context.DeadlineExceeded},
		{"cancelled meanwhile", func(*testing.T) context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(soon, cancel)
			return ctx
		}, soon + clusterLeaveTime, context.Canceled},
		{"cancelled before its deadline", func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			t.Cleanup(cancel)
			time.AfterFunc(soon, cancel)
			return ctx
		}, soon + clusterLeaveTime, context.Canceled},
		{"a deadline meanwhile", func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			t.Cleanup(cancel)
			return ctx
		}, soon + clusterLeaveTime, context.DeadlineExceeded},
		{"a deadline that is hidden", func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			t.Cleanup(cancel)
			return undated{ctx}
		}, soon + clusterLeaveTime, context.Canceled},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from := time.Now()
				err := leave(row.ctx(t), nil, func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				})
				if d := time.Since(from); d != row.ends || !errors.Is(err, row.err) {
					t.Errorf("ended after %v with %v, want %v and %v", d, err, row.ends, row.err)
				}
				first := errors.New("first")
				if err := leave(row.ctx(t), first, func(context.Context) error { return nil }); err != first {
					t.Error(err)
				}
			})
		})
	}
}

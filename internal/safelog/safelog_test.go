package safelog_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/siokit/siokit/internal/safelog"
)

// bomb is a handler of the application that panics wherever it is called.
type bomb struct{}

func (bomb) Enabled(context.Context, slog.Level) bool  { panic("Enabled") }
func (bomb) Handle(context.Context, slog.Record) error { panic("Handle") }
func (bomb) WithAttrs([]slog.Attr) slog.Handler        { panic("WithAttrs") }
func (bomb) WithGroup(string) slog.Handler             { panic("WithGroup") }

// fuse panics when a line is written.
type fuse struct{ bomb }

func (fuse) Enabled(context.Context, slog.Level) bool { return true }

func TestNew(t *testing.T) {
	for _, h := range []slog.Handler{bomb{}, fuse{}} {
		l := safelog.New(slog.New(h))
		l.Error("line")
		l.With("a", 1).WithGroup("g").Error("line")
		if safelog.New(l) != l {
			t.Error("wrapped twice")
		}
	}
	if safelog.New(nil) == nil {
		t.Error("no logger for nil")
	}
}

// Package safelog calls the application's logger so that a panic in it ends nothing.
package safelog

import (
	"context"
	"log/slog"
)

// handler is the handler of the application's logger. The library logs from goroutines
// of its own, where a panic would end the process, and where it has just recovered one.
// There is nobody to tell of a logger that panics: the line is lost.
type handler struct{ slog.Handler }

// New wraps a logger once; nil is slog.Default().
func New(l *slog.Logger) *slog.Logger {
	if l == nil {
		l = slog.Default()
	}
	if _, done := l.Handler().(handler); done {
		return l
	}
	return slog.New(handler{l.Handler()})
}

func (h handler) Enabled(ctx context.Context, level slog.Level) (on bool) {
	defer dropped()
	return h.Handler.Enabled(ctx, level)
}

func (h handler) Handle(ctx context.Context, r slog.Record) (err error) {
	defer dropped()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is h itself when the application's own panics, and so is WithGroup.
func (h handler) WithAttrs(attrs []slog.Attr) (with slog.Handler) {
	defer dropped()
	with = h
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) (with slog.Handler) {
	defer dropped()
	with = h
	return handler{h.Handler.WithGroup(name)}
}

// dropped is the recover of a logger.
func dropped() { _ = recover() }

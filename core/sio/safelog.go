package sio

import (
	"context"
	"log/slog"
)

// safeHandler is the handler of the application's Logger, called so that a panic
// in it ends nothing. There is nobody to tell: the line is lost.
type safeHandler struct{ slog.Handler }

// safeLogger wraps a logger once.
func safeLogger(l *slog.Logger) *slog.Logger {
	if _, done := l.Handler().(safeHandler); done {
		return l
	}
	return slog.New(safeHandler{l.Handler()})
}

func (h safeHandler) Enabled(ctx context.Context, level slog.Level) (on bool) {
	defer dropped()
	return h.Handler.Enabled(ctx, level)
}

func (h safeHandler) Handle(ctx context.Context, r slog.Record) (err error) {
	defer dropped()
	return h.Handler.Handle(ctx, r)
}

func (h safeHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return safeHandler{h.Handler.WithAttrs(attrs)}
}

func (h safeHandler) WithGroup(name string) slog.Handler {
	return safeHandler{h.Handler.WithGroup(name)}
}

// dropped is the recover of a logger, the one beside Server.caught, which logs.
func dropped() { _ = recover() }

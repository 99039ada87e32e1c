package caddymodule

import (
	"context"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/exp/zapslog"
)

// newLogger returns a logger for what outlives a configuration load: each line
// goes to whatever Caddy's default log is by then.
func newLogger() *slog.Logger { return slog.New(currentLog{}) }

type currentLog struct {
	with func(slog.Handler) slog.Handler
}

func (l currentLog) handler() slog.Handler {
	var h slog.Handler = zapslog.NewHandler(caddy.Log().Core(), zapslog.WithName("kycvs"), zapslog.AddStacktraceAt(slog.Level(127)))
	if l.with != nil {
		h = l.with(h)
	}
	return h
}

func (l currentLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.handler().Enabled(ctx, level)
}

func (l currentLog) Handle(ctx context.Context, r slog.Record) error {
	return l.handler().Handle(ctx, r)
}

func (l currentLog) then(f func(slog.Handler) slog.Handler) currentLog {
	before := l.with
	return currentLog{func(h slog.Handler) slog.Handler {
		if before != nil {
			h = before(h)
		}
		return f(h)
	}}
}

func (l currentLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return l.then(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (l currentLog) WithGroup(name string) slog.Handler {
	return l.then(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

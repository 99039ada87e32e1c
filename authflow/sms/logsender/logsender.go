// Package logsender is the sender for trying things out: it writes the message
// to the log instead of sending it. It is the only place of this module that
// logs a number or a code.
package logsender

import (
	"context"
	"log/slog"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

// Name is what Sender.Name returns.
const Name = "log"

// Sender is an sms.Sender that logs.
type Sender struct{ logger *slog.Logger }

var _ sms.Sender = (*Sender)(nil)

// New returns a Sender that logs to logger, at level INFO. nil means
// slog.Default().
func New(logger *slog.Logger) *Sender {
	if logger == nil {
		logger = slog.Default()
	}
	return &Sender{logger}
}

// Name implements sms.Sender.
func (*Sender) Name() string { return Name }

// Send implements sms.Sender. It always succeeds.
func (s *Sender) Send(ctx context.Context, m sms.Message) error {
	s.logger.LogAttrs(ctx, slog.LevelInfo, "text message (not sent: sms log is for trying things out)",
		slog.String("to", m.To), slog.String("message", m.Text), slog.String("code", m.Code), slog.String("txnId", m.TxnID))
	return nil
}

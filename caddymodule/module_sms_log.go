package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/authflow/sms/logsender"
)

func init() {
	caddy.RegisterModule((*LogSender)(nil))
}

// LogSender writes messages, codes included, to the log in place of sending
// them. It is for trying things out: whoever reads the log gets in.
type LogSender struct{}

// CaddyModule returns the Caddy module information.
func (*LogSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kycvs.sms.log", New: func() caddy.Module { return new(LogSender) }}
}

// UnmarshalCaddyfile reads
//
//	sms log
func (*LogSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return readGuestLine(d, "sms log", "sms log", noArg, func([]string) {})
}

// Sender implements SenderModule.
func (*LogSender) Sender(o OpenOptions) (sms.Sender, error) { return logsender.New(o.Logger), nil }

// Trial implements SenderModule: no phone gets the code.
func (*LogSender) Trial() bool { return true }

// Interface guards.
var (
	_ caddyfile.Unmarshaler = (*LogSender)(nil)
	_ SenderModule          = (*LogSender)(nil)
)

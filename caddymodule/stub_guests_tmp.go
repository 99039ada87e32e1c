package caddymodule

// Stand-ins for the engines that are not there yet.

import (
	"errors"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/registry"
)

var errStub = errors.New("not there yet")

func openCSVRegistry(string, OpenOptions) (registry.Registry, error) { return nil, errStub }
func openMemoryState(OpenOptions) (state.Store, error)               { return nil, errStub }
func openFileLedger(string, OpenOptions) (ledger.Ledger, error)      { return nil, errStub }
func newLogSender(OpenOptions) (sms.Sender, error)                   { return nil, errStub }
func newHTTPSender(*HTTPSender, OpenOptions) (sms.Sender, error)     { return nil, errStub }

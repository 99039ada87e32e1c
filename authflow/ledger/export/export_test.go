package export_test

import (
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/export"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/ledgertest"
)

// What the lines look like is in the scripts of `caddy kycvs ledger export`.

func TestStates(t *testing.T) {
	for _, test := range []struct {
		event         ledger.Event
		reason        string
		state, entity string
	}{
		{ledger.Given, "", "ConsentGiven", "0f1e2d3c"},
		{ledger.Used, "", "ConsentGiven", "mall"},
		{ledger.Withdrawn, "", "ConsentWithdrawn", "0f1e2d3c"},
		{ledger.Refused, "", "ConsentRefused", "0f1e2d3c"},
		{ledger.Refused, "no_record", "", "0f1e2d3c"}, // not the person's refusal
		{ledger.Locked, "", "", "0f1e2d3c"},
		{ledger.Unlocked, "", "", "0f1e2d3c"},
	} {
		e := ledgertest.Sample("c")
		e.Event, e.Reason = test.event, test.reason
		got := export.Of(chain.Line{Seq: 3}, e)
		if len(got.Events) != 1 || got.Events[0].EventState != test.state || got.Events[0].EntityID != test.entity || got.Own.Seq != 3 {
			t.Errorf("%s %s: got %+v", test.event, test.reason, got)
		}
	}
}

func TestFilter(t *testing.T) {
	e := ledgertest.Sample("c")
	for name, test := range map[string]struct {
		filter export.Filter
		want   bool
	}{
		"nothing asked":     {export.Filter{}, true},
		"since then":        {export.Filter{Since: e.At}, true},
		"since later":       {export.Filter{Since: e.At.Add(1)}, false},
		"until then":        {export.Filter{Until: e.At}, false},
		"until later":       {export.Filter{Until: e.At.Add(time.Second)}, true},
		"its partner":       {export.Filter{Partner: "mall"}, true},
		"another's partner": {export.Filter{Partner: "mal"}, false},
	} {
		if got := test.filter.Wants(e); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

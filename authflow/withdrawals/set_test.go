package withdrawals

import (
	"context"
	"encoding/base64"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

// lines is a Ledger that only replays.
type lines struct {
	ledger.Ledger
	entries []ledger.Entry
}

func (l lines) Replay(_ context.Context, f func(ledger.Entry) error) error {
	for _, e := range l.entries {
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

func idOf(b byte) string { return encode([16]byte(append(make([]byte, 15), b))) }

func encode(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func has(w *Set, b byte) bool { return w.Has([16]byte(append(make([]byte, 15), b))) }

func TestLearn(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var w Set
	err := w.Learn(t.Context(), lines{entries: []ledger.Entry{
		{Event: ledger.Given, Consent: idOf(1), Until: now.Add(time.Hour)},
		{Event: ledger.Withdrawn, Consent: idOf(2), Until: now.Add(time.Hour)},
		{Event: ledger.Withdrawn, Consent: idOf(3), Until: now.Add(-time.Hour)},
		{Event: ledger.Withdrawn, Consent: idOf(4)},
	}}, now)
	if err != nil {
		t.Fatal(err)
	}
	for b, want := range map[byte]bool{1: false, 2: true, 3: false, 4: true} {
		if has(&w, b) != want {
			t.Errorf("consent %d: withdrawn is %v", b, !want)
		}
	}
	if err := w.Learn(t.Context(), lines{entries: []ledger.Entry{{Event: ledger.Withdrawn, Consent: "short"}}}, now); err == nil {
		t.Error("a withdrawal of nothing was passed over")
	}
}

func TestAddKeepsTheLaterTimeAndSweepsWhatHasEnded(t *testing.T) {
	var w Set
	before := w.Epoch()
	id := [16]byte{1}
	w.Add(Withdrawal{Consent: id, Until: time.Now().Add(time.Hour)})
	w.Add(Withdrawal{Consent: id, Until: time.Now().Add(-time.Hour)})
	if w.Epoch() == before {
		t.Error("the epoch did not change")
	}
	for i := range 5000 {
		w.Add(Withdrawal{Consent: [16]byte{2, byte(i), byte(i >> 8)}, Until: time.Now().Add(-time.Hour)})
	}
	if !w.Has(id) {
		t.Error("an earlier time took the place of a later one")
	}
	if len(w.until) > 2000 {
		t.Errorf("%d are remembered", len(w.until))
	}
}

package ledger

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The most bytes that a text of an Entry has.
const (
	maxWord    = 128  // ids, hashes, versions and words
	maxName    = 253  // a partner, which may be a host's name
	maxPurpose = 4096 // as the person was shown it
)

// ErrInvalid is in every error of Validate.
var ErrInvalid = errors.New("ledger: not an entry")

// Validate returns an error unless e can be appended. It says which member is
// wrong and nothing of its content.
func (e Entry) Validate() error {
	if !e.Event.Known() {
		return fmt.Errorf("%w: its event is none that this version writes", ErrInvalid)
	}
	if !jsonTime(e.At) || e.At.IsZero() {
		return fmt.Errorf("%w: it needs a time, of the years 1 to 9999", ErrInvalid)
	}
	if !jsonTime(e.Until) {
		return fmt.Errorf("%w: its until is not of the years 1 to 9999", ErrInvalid)
	}
	for _, text := range []struct {
		name, value string
		most        int
	}{
		{"consent", e.Consent, maxWord},
		{"person", e.Person, maxWord},
		{"phone", e.Phone, maxWord},
		{"partner", e.Partner, maxName},
		{"purpose", e.Purpose, maxPurpose},
		{"txnId", e.TxnID, maxWord},
		{"notice", e.Notice, maxWord},
		{"lang", e.Lang, maxWord},
		{"how", e.How, maxWord},
		{"acting", e.Acting, maxName},
		{"reason", e.Reason, maxWord},
	} {
		if len(text.value) > text.most {
			return fmt.Errorf("%w: its %s is longer than %d bytes", ErrInvalid, text.name, text.most)
		}
		if !utf8.ValidString(text.value) {
			return fmt.Errorf("%w: its %s is not UTF-8", ErrInvalid, text.name)
		}
	}
	switch e.Event {
	case Given, Used, Withdrawn:
		if e.Consent == "" {
			return fmt.Errorf("%w: %s needs a consent", ErrInvalid, e.Event)
		}
	case Locked, Unlocked:
		if e.Phone == "" {
			return fmt.Errorf("%w: %s needs a phone", ErrInvalid, e.Event)
		}
	}
	if e.Reason != "" && e.Event != Refused {
		return fmt.Errorf("%w: only %s has a reason", ErrInvalid, Refused)
	}
	if e.Phone != "" {
		return CheckPhone(e.Phone)
	}
	return nil
}

// CheckPhone returns an error unless phone can be the keyed hash of a number:
// letters, digits, - and _, as base64url has them, and not digits alone, which
// could be the number itself.
func CheckPhone(phone string) error {
	const digits = "0123456789"
	const others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	switch {
	case phone == "" || len(phone) > maxWord || strings.Trim(phone, digits+others) != "":
		return fmt.Errorf("%w: its phone is no hash in base64url", ErrInvalid)
	case strings.Trim(phone, digits) == "" && len(phone) <= 15: // E.164 has no longer numbers
		return fmt.Errorf("%w: its phone could be a number, where only its keyed hash may stand", ErrInvalid)
	}
	return nil
}

// jsonTime reports whether RFC 3339 can write t in UTC.
func jsonTime(t time.Time) bool {
	y := t.UTC().Year()
	return y >= 1 && y <= 9999
}

// Package export writes what the ledger has in the terms of ISO/IEC TS 27560:2023,
// "Consent record information structure".
//
// The names of the members and the clauses behind them are those that the W3C's
// Data Privacy Vocabularies and Controls Community Group cites from the
// specification in its guide of 2024-08-01 (https://w3id.org/dpv/guides/consent-27560),
// and the values of event_type and event_state are that vocabulary's. Not confirmed
// by it, and chosen here, are the names of the sections, "pii_processing", "parties"
// and "events", and "purpose", a member of "purposes"; what the specification has no
// place for is under "kycvs".
package export

import (
	"strconv"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
)

// SchemaVersion is the schema_version of every record.
const SchemaVersion = "ISO/IEC TS 27560:2023"

// Record is one event of one consent. A consent has several: they share record_id.
type Record struct {
	SchemaVersion string `json:"schema_version"`
	// RecordID is the consent's id. It is empty where there was none: a refusal before
	// consent, a lock.
	RecordID string `json:"record_id,omitempty"`
	// PIIPrincipalID is the keyed hash of the person's record; of the number, where the
	// event is about that.
	PIIPrincipalID string       `json:"pii_principal_id,omitempty"`
	Processing     []Processing `json:"pii_processing,omitempty"` // clause 6.3.4
	Parties        []Party      `json:"parties,omitempty"`        // clause 6.3.6
	Events         []Event      `json:"events"`                   // clause 6.3.7
	Own            Own          `json:"kycvs"`
}

// Processing is what was consented to (clause 6.3.4).
type Processing struct {
	PrivacyNotice string    `json:"privacy_notice,omitempty"` // 6.3.4.1: the notice's version
	Language      string    `json:"language,omitempty"`       // 6.3.4.2: BCP 47
	Purposes      []Purpose `json:"purposes,omitempty"`       // 6.3.4.3
	LawfulBasis   string    `json:"lawful_basis"`             // 6.3.4.6: consent
	Recipients    []string  `json:"recipient_third_parties,omitempty"`
}

// Purpose is one of the purposes, as the person was shown it.
type Purpose struct {
	Purpose string `json:"purpose"`
}

// Party is somebody who has a part in it (clause 6.3.6).
type Party struct {
	PartyName string `json:"party_name"`
	PartyRole string `json:"party_role"`
}

// Event is what happened (clause 6.3.7).
type Event struct {
	EventTime string `json:"event_time"` // 6.3.7.1: RFC 3339
	// ValidityDuration is how long it counts from then on (6.3.7.2), in seconds as
	// ISO 8601 has them, PT43200S.
	ValidityDuration string `json:"validity_duration,omitempty"`
	EntityID         string `json:"entity_id,omitempty"`   // 6.3.7.3: who expressed it
	EventType        string `json:"event_type,omitempty"`  // 6.3.7.4
	EventState       string `json:"event_state,omitempty"` // 6.3.7.6
}

// Own is what the specification has no place for.
type Own struct {
	Seq     uint64     `json:"seq"`
	Hash    string     `json:"hash"` // of the ledger's line: its evidence
	Event   string     `json:"event"`
	Phone   string     `json:"phone,omitempty"`
	Partner string     `json:"partner,omitempty"`
	TxnID   string     `json:"txnId,omitempty"`
	How     string     `json:"how,omitempty"`
	Acting  string     `json:"acting,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Until   *time.Time `json:"until,omitempty"`
}

// states are the ledger's events in the words of DPV's consent statuses
// (https://w3id.org/dpv#ConsentStatus). The others are no states of a consent.
var states = map[ledger.Event]string{
	ledger.Given:     "ConsentGiven",
	ledger.Used:      "ConsentGiven",
	ledger.Refused:   "ConsentRefused",
	ledger.Withdrawn: "ConsentWithdrawn",
}

// Filter says which entries are wanted. Zero values want all.
type Filter struct {
	Since, Until time.Time // Since <= at < Until
	Partner      string
}

// Wants reports whether the entry is among them.
func (f Filter) Wants(e ledger.Entry) bool {
	return !e.At.Before(f.Since) &&
		(f.Until.IsZero() || e.At.Before(f.Until)) &&
		(f.Partner == "" || e.Partner == f.Partner)
}

// Of returns what a line of the ledger, whose entry is e, says.
func Of(l chain.Line, e ledger.Entry) Record {
	r := Record{
		SchemaVersion:  SchemaVersion,
		RecordID:       e.Consent,
		PIIPrincipalID: e.Person,
		Own: Own{
			Seq: l.Seq, Hash: l.Hash, Event: string(e.Event), Phone: e.Phone, Partner: e.Partner,
			TxnID: e.TxnID, How: e.How, Acting: e.Acting, Reason: e.Reason,
		},
	}
	if e.Consent == "" && e.Person == "" { // otherwise the consent's other events say who
		r.PIIPrincipalID = e.Phone
	}
	happened := Event{EventTime: e.At.Format(time.RFC3339Nano), EventState: states[e.Event], EntityID: r.PIIPrincipalID}
	if e.Event == ledger.Given || e.Event == ledger.Withdrawn {
		happened.EventType = "ExplicitlyExpressedConsent"
	}
	if e.Event == ledger.Refused && e.Reason != "" {
		happened.EventState = "" // it was us who gave no answer, not the person who said no
	}
	if e.Event == ledger.Used {
		happened.EntityID = e.Partner
	}
	if !e.Until.IsZero() {
		r.Own.Until = &e.Until
		if left := e.Until.Sub(e.At); e.Event == ledger.Given && left > 0 {
			happened.ValidityDuration = "PT" + strconv.FormatInt(int64(left/time.Second), 10) + "S"
		}
	}
	r.Events = []Event{happened}
	if e.Partner != "" {
		r.Parties = []Party{{e.Partner, "recipient"}}
	}
	if e.Purpose != "" || e.Notice != "" {
		p := Processing{PrivacyNotice: e.Notice, Language: e.Lang, LawfulBasis: "consent"}
		if e.Purpose != "" {
			p.Purposes = []Purpose{{e.Purpose}}
		}
		if e.Partner != "" {
			p.Recipients = []string{e.Partner}
		}
		r.Processing = []Processing{p}
	}
	return r
}

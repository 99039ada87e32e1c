// Package receipt makes and checks the receipt of a consent: what a person keeps
// of what they agreed to, signed by the gate that asked them. It outlives the
// pass, the partner and the keys that were in use, so whoever reads one later (a
// partner, a person's lawyer) needs this package and the public key, and nothing
// else: it depends on neither Caddy nor the rest of this module but assertion.
//
// A receipt says nothing of the answer, nor who the person is. Its members are
// those of ISO/IEC TS 27560:2023 as the ledger's export writes them; what the
// specification has no place for is under "kycvs".
package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// Type is the value of the protected header's typ member (RFC 8725, section
// 3.11): a receipt is never an assertion, nor the other way round.
const Type = "kycvs-receipt+jwt"

// SchemaVersion is the schema_version of every receipt.
const SchemaVersion = "ISO/IEC TS 27560:2023"

// MaxSize is the most bytes a receipt has in compact form, and a file with one.
// A purpose may have 4096 bytes.
const (
	MaxSize     = 16 << 10
	MaxFileSize = 48 << 10
)

// Receipt is what a person agreed to. The order of the fields is the order on
// the wire.
type Receipt struct {
	SchemaVersion string `json:"schema_version"`
	// RecordID is the ledger's id of the consent.
	RecordID string `json:"record_id"`
	// PIIPrincipalID is the person as the partner knows them, an assertion's sub: no
	// other partner knows them by it.
	PIIPrincipalID string       `json:"pii_principal_id"`
	Processing     []Processing `json:"pii_processing"`
	Parties        []Party      `json:"parties"`
	Events         []Event      `json:"events"`
	Own            Own          `json:"kycvs"`
}

// Processing is what was consented to (clause 6.3.4).
type Processing struct {
	PrivacyNotice string    `json:"privacy_notice,omitempty"` // the notice's version, where it is known
	Language      string    `json:"language,omitempty"`       // BCP 47, where it is known
	Purposes      []Purpose `json:"purposes"`
	LawfulBasis   string    `json:"lawful_basis"` // consent
	Recipients    []string  `json:"recipient_third_parties"`
}

// Purpose is one of the purposes, as the person was shown it.
type Purpose struct {
	Purpose string `json:"purpose"`
}

// Party is somebody who has a part in it (clause 6.3.6).
type Party struct {
	PartyName string `json:"party_name"`
	PartyRole string `json:"party_role"` // controller or recipient
}

// Event is the giving of the consent (clause 6.3.7).
type Event struct {
	EventTime        string `json:"event_time"`        // RFC 3339
	ValidityDuration string `json:"validity_duration"` // ISO 8601, in seconds: PT43200S
	EntityID         string `json:"entity_id"`         // who expressed it: PIIPrincipalID
	EventType        string `json:"event_type"`
	EventState       string `json:"event_state"` // as it was when the receipt was made
}

// Own is what the specification has no place for.
type Own struct {
	Issuer    string `json:"issuer"`  // the origin that signs, an assertion's iss
	IssuedAt  string `json:"issued"`  // when the receipt was made, RFC 3339
	Partner   string `json:"partner"` // the partner's id, an assertion's aud
	TxnID     string `json:"txnId"`
	How       string `json:"how"`
	Until     string `json:"until"`               // when the consent ends by itself, RFC 3339
	Withdraw  string `json:"withdraw"`            // the page to withdraw it
	Contact   string `json:"contact,omitempty"`   // for questions and requests
	Grievance string `json:"grievance,omitempty"` // for complaints
}

// Facts are what a Receipt is made of.
type Facts struct {
	Issuer     string // the origin that signs
	Partner    string // the partner's id
	Name       string // the partner's name, as the person was shown it
	Purpose    string // as the person was shown it
	Controller string // who answers for the data; empty for the partner
	Contact    string // for questions; may be empty
	Grievance  string // for complaints; may be empty
	Withdraw   string // the address of the page to withdraw it

	Consent, Subject, TxnID string
	Notice, Lang            string // what was shown; empty where it is not known
	How                     string

	Given, Until, Now time.Time
}

// New returns the receipt of a consent that runs.
func New(f Facts) Receipt {
	controller := f.Controller
	if controller == "" {
		controller = f.Name
	}
	given, until := f.Given.UTC(), f.Until.UTC()
	return Receipt{
		SchemaVersion:  SchemaVersion,
		RecordID:       f.Consent,
		PIIPrincipalID: f.Subject,
		Processing: []Processing{{
			PrivacyNotice: f.Notice, Language: f.Lang, Purposes: []Purpose{{f.Purpose}},
			LawfulBasis: "consent", Recipients: []string{f.Partner},
		}},
		Parties: []Party{{controller, "controller"}, {f.Name, "recipient"}},
		Events: []Event{{
			EventTime:        given.Format(time.RFC3339),
			ValidityDuration: fmt.Sprintf("PT%dS", int64(until.Sub(given)/time.Second)),
			EntityID:         f.Subject,
			EventType:        "ExplicitlyExpressedConsent",
			EventState:       "ConsentGiven",
		}},
		Own: Own{
			Issuer: f.Issuer, IssuedAt: f.Now.UTC().Format(time.RFC3339), Partner: f.Partner, TxnID: f.TxnID,
			How: f.How, Until: until.Format(time.RFC3339), Withdraw: f.Withdraw, Contact: f.Contact, Grievance: f.Grievance,
		},
	}
}

// Sign returns the receipt as a JWS in compact form (RFC 7515, section 7.1).
func Sign(s *assertion.Signer, r Receipt) (string, error) {
	payload, err := content(r)
	if err != nil {
		return "", err
	}
	return sign(s, payload)
}

// content is what is signed: JSON in which "&" stands as itself, for people read
// it.
func content(r Receipt) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func sign(s *assertion.Signer, payload []byte) (string, error) {
	compact, err := s.SignAs(Type, payload)
	if err != nil {
		return "", err
	}
	if len(compact) > MaxSize {
		return "", errors.New("receipt: its texts are too long")
	}
	return compact, nil
}

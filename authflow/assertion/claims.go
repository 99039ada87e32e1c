// Package assertion makes and checks the signed answer (contract, section 3): a
// JWS in compact form (RFC 7515) over a JWT claims set (RFC 7519), made for one
// partner and short-lived. It is what a partner's Go program imports, so it
// depends on neither Caddy nor the rest of this module.
package assertion

// HeaderName is the request field in which a gate hands the assertion to the
// application behind it.
const HeaderName = "Kycvs-Assertion"

// Type is the value of the protected header's typ member (RFC 8725, section
// 3.11): it keeps an assertion from being taken for another kind of JWT.
const Type = "kycvs+jwt"

// MaxSize is the most bytes an assertion has in compact form.
const MaxSize = 1024

// Claims is the content of an assertion. Times are seconds since the epoch
// (RFC 7519, NumericDate). The order of the fields is the order on the wire.
type Claims struct {
	Issuer            string   `json:"iss"`
	Audience          string   `json:"aud"` // the partner's id, one string
	Subject           string   `json:"sub"`
	IssuedAt          int64    `json:"iat"`
	NotBefore         int64    `json:"nbf"`
	Expires           int64    `json:"exp"`
	ID                string   `json:"jti"`
	VaccinationStatus int      `json:"vaccination_status"` // 0, 1 or 2, as it was at AuthTime
	AuthTime          int64    `json:"auth_time"`          // when the code was confirmed
	Methods           []string `json:"amr"`                // ["otp","sms"] (RFC 8176)
	TxnID             string   `json:"txnId"`              // the handshake
	Consent           string   `json:"consent"`            // the ledger's id of the consent it rests on
	Purpose           string   `json:"purpose"`            // as the person was shown it
	Authority         string   `json:"authority,omitempty"`
	ActingFor         string   `json:"sa,omitempty"` // the sub-partner's id, where the partner acts for another
}

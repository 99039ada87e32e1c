package assertion

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
)

// Template makes the assertions of one gate and key where most of an assertion
// stays the same: the texts are escaped once, and what varies is kept in a
// Variable, a quarter of the assertion's size and without a pointer, so that a
// gate can remember a million of them beside their signatures.
//
// A Template is not changed after NewTemplate and safe for concurrent use.
type Template struct {
	header string // the signer's, with the dot after it
	head   string // from the opening brace up to the value of sub
	tail   string // from the end of the value of consent to the closing brace
	same   Claims // what every assertion of this template says
}

// Variable is what differs between two assertions of a Template. Times are
// seconds since the epoch; nbf is IssuedAt and amr ["otp","sms"] in all of them.
type Variable struct {
	Subject, ID, Consent [16]byte // in base64url without padding, 22 characters
	TxnID                [16]byte // as a UUID, 8-4-4-4-12 lower-case hex digits
	IssuedAt, Expires    int64
	AuthTime             int64
	Status               int
}

// NewTemplate takes a Signer's Header and the texts that all assertions made
// with it share; authority is empty where the gate has its own registry.
func NewTemplate(header, iss, aud, purpose, authority string) *Template {
	return NewTemplateOf(header, Claims{Issuer: iss, Audience: aud, Purpose: purpose, Authority: authority})
}

// NewTemplateOf is NewTemplate with the texts in their Claims: Issuer, Audience,
// Purpose, Authority and ActingFor. The others are not looked at.
func NewTemplateOf(header string, texts Claims) *Template {
	head := appendString([]byte(`{"iss":`), texts.Issuer)
	head = append(head, `,"aud":`...)
	head = appendString(head, texts.Audience)
	head = append(head, `,"sub":"`...)

	tail := appendString([]byte(`","purpose":`), texts.Purpose)
	if texts.Authority != "" {
		tail = append(tail, `,"authority":`...)
		tail = appendString(tail, texts.Authority)
	}
	if texts.ActingFor != "" {
		tail = append(tail, `,"sa":`...)
		tail = appendString(tail, texts.ActingFor)
	}
	tail = append(tail, '}')

	return &Template{
		header: header + ".",
		head:   string(head),
		tail:   string(tail),
		same:   Claims{Issuer: texts.Issuer, Audience: texts.Audience, Purpose: texts.Purpose, Authority: texts.Authority, ActingFor: texts.ActingFor},
	}
}

// Size returns how many bytes an assertion of this template has with a
// signature of so many bytes, at times up to the year 2286. A gate whose texts
// are too long for MaxSize can so be refused before it serves anybody.
func (t *Template) Size(signatureSize int) int {
	const ten = 1e9 // seconds since the epoch have ten digits
	payload := t.AppendPayload(nil, &Variable{IssuedAt: ten, Expires: ten, AuthTime: ten})
	return compactSize(len(t.header)-1, len(payload), signatureSize)
}

// AppendPayload appends the JSON that is to be signed: the same bytes as
// Claims(v).AppendJSON.
func (t *Template) AppendPayload(dst []byte, v *Variable) []byte {
	dst = append(dst, t.head...)
	dst = base64.RawURLEncoding.AppendEncode(dst, v.Subject[:])
	dst = append(dst, `","iat":`...)
	start := len(dst)
	dst = strconv.AppendInt(dst, v.IssuedAt, 10)
	end := len(dst)
	dst = append(dst, `,"nbf":`...)
	dst = append(dst, dst[start:end]...)
	dst = append(dst, `,"exp":`...)
	dst = strconv.AppendInt(dst, v.Expires, 10)
	dst = append(dst, `,"jti":"`...)
	dst = base64.RawURLEncoding.AppendEncode(dst, v.ID[:])
	dst = append(dst, `","vaccination_status":`...)
	dst = strconv.AppendInt(dst, int64(v.Status), 10)
	dst = append(dst, `,"auth_time":`...)
	dst = strconv.AppendInt(dst, v.AuthTime, 10)
	dst = append(dst, `,"amr":["otp","sms"],"txnId":"`...)
	dst = appendUUID(dst, &v.TxnID)
	dst = append(dst, `","consent":"`...)
	dst = base64.RawURLEncoding.AppendEncode(dst, v.Consent[:])
	return append(dst, t.tail...)
}

// Append appends the whole assertion, header.payload.signature. The signature
// must be the one that the template's signer made over AppendPayload of the
// same v; that is not checked here. It allocates nothing where dst has room.
func (t *Template) Append(dst []byte, v *Variable, signature []byte) []byte {
	var room [payloadRoom]byte // stays on the stack
	payload := t.AppendPayload(room[:0], v)
	dst = append(dst, t.header...)
	dst = base64.RawURLEncoding.AppendEncode(dst, payload)
	dst = append(dst, '.')
	return base64.RawURLEncoding.AppendEncode(dst, signature)
}

// Claims returns what an assertion made from v says.
func (t *Template) Claims(v *Variable) Claims {
	c := t.same
	c.Subject = base64.RawURLEncoding.EncodeToString(v.Subject[:])
	c.IssuedAt, c.NotBefore, c.Expires = v.IssuedAt, v.IssuedAt, v.Expires
	c.ID = base64.RawURLEncoding.EncodeToString(v.ID[:])
	c.VaccinationStatus = v.Status
	c.AuthTime = v.AuthTime
	c.Methods = []string{"otp", "sms"}
	c.TxnID = string(appendUUID(nil, &v.TxnID))
	c.Consent = base64.RawURLEncoding.EncodeToString(v.Consent[:])
	return c
}

// appendUUID appends 16 bytes in the text form of a UUID (RFC 9562, section 4).
func appendUUID(dst []byte, id *[16]byte) []byte {
	dst = hex.AppendEncode(dst, id[:4])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, id[4:6])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, id[6:8])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, id[8:10])
	dst = append(dst, '-')
	return hex.AppendEncode(dst, id[10:])
}

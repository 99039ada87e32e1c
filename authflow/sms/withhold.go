package sms

import (
	"fmt"
	"net/url"
	"strings"
)

// withhold returns the text of err, unless it has something of m in it. A
// Sender promises that it has not, but a Sender may be somebody else's, and the
// log must not be where its mistake comes out.
func withhold(err error, m Message) string {
	text := err.Error()
	for _, secret := range []string{
		strings.TrimPrefix(m.To, "+"), m.Code, m.Text, url.QueryEscape(m.Text), url.PathEscape(m.Text), m.TxnID, m.ID,
	} {
		if secret != "" && strings.Contains(text, secret) {
			return fmt.Sprintf("withheld, as it repeats the message (%T)", err)
		}
	}
	return text
}

package httpsender

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// errNoAnswer stands for whatever else there is: the text of such an error may
// repeat the URL or what the provider sent, and so the number.
var errNoAnswer = errors.New("the provider's answer could not be read")

// cause returns what is behind an error of net/http, as far as it is known to
// carry nothing of the message. What it keeps names hosts and addresses, which
// are the operator's own.
func cause(err error) error {
	var (
		op          *net.OpError
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		authority   x509.UnknownAuthorityError
		host        x509.HostnameError
		timeout     net.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &authority):
		return authority
	case errors.As(err, &host):
		return host
	case errors.As(err, &alert):
		return alert
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return errors.New("the provider does not speak TLS there: see whether the URL should begin with http://")
	case errors.As(err, &op):
		return op
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the provider closed the connection without an answer")
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	default:
		return errNoAnswer
	}
}

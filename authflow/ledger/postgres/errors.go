package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	undefinedTable  = "42P01"
	uniqueViolation = "23505"
)

// adviceOn is what to do about what a server says.
var adviceOn = map[string]string{
	"42501": "the role needs SELECT and INSERT on kycvs_ledger, SELECT and UPDATE on kycvs_ledger_head, CREATE on the schema the first time, " +
		"and DELETE on kycvs_ledger for `keep` and for `caddy kycvs ledger prune`",
	"28000": "check the user of the DSN, and the server's pg_hba.conf",
	"28P01": "check user and password of the DSN",
	"3D000": "make the database first, with `createdb`",
	"3F000": "make the schema that the DSN's search_path names first, with CREATE SCHEMA",
	"23505": "the row of kycvs_ledger_head is behind the lines: run `caddy kycvs ledger verify`",
	"25006": "it is a standby, or read-only: write the primary into the DSN",
	"53300": "raise the server's max_connections, or set pool_max_conns in the DSN",
}

// failure is what went wrong with the server, as it may be logged: what it said or
// what the network did, and what to do, never the DSN, a statement or a value. It
// unwraps to pgx's, for errors.Is and errors.As alone.
type failure struct{ err error }

func (e *failure) Unwrap() error { return e.err }
func (e *failure) Error() string { return "ledger postgres: " + cause(e.err) }

// serverError makes a failure of an error of pgx; nil and our own stay as they are.
func serverError(err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &failure{err}
}

func cause(err error) string {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		text := fmt.Sprintf("%s (SQLSTATE %s)", said.Message, said.Code)
		if said.Code == uniqueViolation || strings.HasPrefix(said.Code, "22") { // it may quote a value
			text = "SQLSTATE " + said.Code
		}
		if advice := adviceOn[said.Code]; advice != "" {
			text += ": " + advice
		}
		return text
	}
	var op *net.OpError
	var dns *net.DNSError
	var errno syscall.Errno
	var connecting *pgconn.ConnectError
	at := ""
	if errors.As(err, &connecting) && connecting.Config != nil {
		at = fmt.Sprintf("%s:%d: ", connecting.Config.Host, connecting.Config.Port)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "the row of kycvs_ledger_head is gone: restore it from a backup, with seq and hash of the last line"
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		return at + adviceOn["25006"]
	case errors.As(err, &dns):
		return at + "its address cannot be found: " + dns.Err
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), pgconn.Timeout(err):
		return at + "did not answer in time"
	case errors.As(err, &errno):
		return at + errno.Error()
	case errors.As(err, &op):
		return at + op.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return at + "closed the connection"
	}
	// What is left (TLS) says itself what is wrong, at its root.
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
		all := joined.Unwrap()
		return cause(all[len(all)-1])
	}
	return at + err.Error()
}

// lost reports whether the same may succeed over a new connection, or on another
// server: this one is gone, going, full, or had to end the transaction.
func lost(err error) bool {
	if errors.Is(err, pgx.ErrNoRows) { // the head is gone
		return false
	}
	code, said := sqlState(err)
	var connecting *pgconn.ConnectError
	if !said || errors.As(err, &connecting) {
		var f *failure
		return errors.As(err, &f)
	}
	switch code {
	case "40001", "40P01", "25006", "0A000": // serialization, deadlock, a standby, a cached plan
		return true
	}
	// 57: shut down, starting, cancelled; 08: the connection; 53: no room.
	return strings.HasPrefix(code, "57") || strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53")
}

func sqlState(err error) (code string, said bool) {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return "", false
	}
	return e.Code, true
}

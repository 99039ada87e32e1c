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

	"github.com/jackc/pgx/v5/pgconn"
)

// What an engine on PostgreSQL can be told before it answers.
var (
	// ErrNoStore says that nothing was ever imported into this database.
	ErrNoStore = errors.New("registry postgres: there is no registry in this database yet: run `caddy kycvs import` once")
	// ErrNewer says that the tables were made by a later version of this program.
	ErrNewer = errors.New("registry postgres: the tables were made by a later version of this program: update this one")
	// ErrBusy says that another import or erasure holds the registry.
	ErrBusy = errors.New("registry postgres: another import or erasure is under way: wait until it is done")
	// ErrUnavailable is in the error of a lookup that no server answered.
	ErrUnavailable = errors.New("registry postgres: no server answers")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("registry postgres: closed")
)

// SQLSTATE codes (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	undefinedTable     = "42P01"
	noPrivilege        = "42501"
	wrongUser          = "28000"
	wrongPassword      = "28P01"
	noSuchDatabase     = "3D000"
	noSchema           = "3F000"
	lockNotAvailable   = "55P03"
	uniqueViolation    = "23505"
	duplicateTable     = "42P07"
	readOnly           = "25006"
	serialization      = "40001" // also a standby's "conflict with recovery"
	deadlock           = "40P01"
	tooManyConnections = "53300"
	cachedPlan         = "0A000"
	queryCanceled      = "57014"
)

// serverError is an error of one server, as it may be logged: the server, what it
// said or what the network did, and what to do, never the DSN, a statement or a
// value. It unwraps to pgx's, for errors.Is and errors.As alone.
type serverError struct {
	address string
	err     error
}

func (e *serverError) Unwrap() error { return e.err }

func (e *serverError) Error() string {
	if e.address == "" {
		return "registry postgres: " + cause(e.err)
	}
	return "registry postgres: " + e.address + ": " + cause(e.err)
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
	switch {
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		return "is a standby, or read-only"
	case errors.Is(err, pgconn.ErrStandbyConnection):
		return "is a standby, which target_session_attrs leaves out"
	case errors.As(err, &dns):
		return "its address cannot be found: " + dns.Err
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), pgconn.Timeout(err):
		return "did not answer in time"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &op):
		return op.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed the connection"
	}
	// What is left (TLS, a connection that does not match target_session_attrs)
	// says itself what is wrong, at its root.
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
	return err.Error()
}

var adviceOn = map[string]string{
	noPrivilege: "a gate's role needs SELECT on kycvs_store and kycvs_boxes, an import's also INSERT, UPDATE and DELETE, " +
		"and CREATE on the schema the first time",
	wrongUser:          "check the user of the DSN, and the server's pg_hba.conf",
	wrongPassword:      "check user and password of the DSN",
	noSuchDatabase:     "make the database first, with `createdb`",
	noSchema:           "make the schema that the DSN's search_path names first, with CREATE SCHEMA",
	readOnly:           "this server is a standby: an import needs the primary in the DSN",
	tooManyConnections: "raise the server's max_connections, or set pool_max_conns in the DSN",
}

// elsewhere reports whether another server, or the same one over a new
// connection, might answer where this one failed: the server is gone, going, full,
// too slow, or a standby that had to cancel the query. What a server says of the
// query itself another would say too.
func elsewhere(err error) bool {
	var e *serverError
	if !errors.As(err, &e) { // we say so, not the server
		return false
	}
	code, _ := sqlState(err)
	switch code {
	case serialization, deadlock, cachedPlan, queryCanceled:
		return true
	}
	// 58: input and output; XX: a damaged table. Of this row perhaps, and of no other.
	return broken(err) || strings.HasPrefix(code, "58") || strings.HasPrefix(code, "XX")
}

// broken reports whether a server's error says that it cannot be used now, not
// only for this query.
func broken(err error) bool {
	code, said := sqlState(err)
	var connecting *pgconn.ConnectError
	if !said || errors.As(err, &connecting) {
		return true
	}
	// 57P: shutting down or starting; 08: the connection; 53: no room.
	return strings.HasPrefix(code, "57P") || strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53")
}

// misconfigured reports whether a server answers, and says that the DSN is wrong.
func misconfigured(err error) bool {
	code, _ := sqlState(err)
	return code == wrongUser || code == wrongPassword || code == noSuchDatabase
}

func sqlState(err error) (code string, said bool) {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return "", false
	}
	return e.Code, true
}

package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// answerError is that Redis did not take a step, as it may be logged: what it
// said or what the network did, and what to do, never a URL's user and password, a
// key or a value. It unwraps to go-redis' error, for errors.Is and errors.As alone.
type answerError struct {
	text string
	err  error
}

func (e *answerError) Error() string { return "state redis: " + e.text }
func (e *answerError) Unwrap() error { return e.err }

// EvictionError says that a server forgets entries to make room for others: a
// counter that is forgotten is a limit that does not hold.
type EvictionError struct {
	// Server is its address, Policy its maxmemory-policy.
	Server, Policy string
}

func (e *EvictionError) Error() string {
	return "state redis: " + e.Server + " forgets entries when its memory is full (maxmemory-policy " + e.Policy +
		"), and with them limits: set `maxmemory-policy noeviction` there; nothing is kept in it until then"
}

// failed makes an error of go-redis' one of ours.
func (s *Store) failed(err error) error {
	var ours *answerError
	var refused *EvictionError
	switch {
	case errors.As(err, &ours), errors.As(err, &refused), errors.Is(err, ErrClosed):
		return err
	case strings.Contains(err.Error(), "OOM command not allowed"):
		return state.ErrFull
	case strings.Contains(err.Error(), "KYCVSRECORD"):
		return errRecord
	}
	if s.closed.Load() {
		return ErrClosed
	}
	return &answerError{s.harmless(cause(err)), err}
}

// harmless leaves of a text that holds a password its first word.
func (s *Store) harmless(text string) string {
	for _, secret := range s.secrets {
		if secret != "" && strings.Contains(text, secret) {
			first, _, _ := strings.Cut(text, " ")
			if strings.Contains(first, secret) {
				first = "error"
			}
			return first + ": what it said repeats the password and is left out"
		}
	}
	return text
}

func cause(err error) string {
	var op *net.OpError
	server := ""
	if errors.As(err, &op) && op.Addr != nil {
		server = op.Addr.String() + ": "
	}
	var dns *net.DNSError
	var errno syscall.Errno
	var timeout net.Error
	if said, ok := errors.AsType[redis.Error](err); ok {
		return reply(said.Error())
	}
	switch {
	case errors.As(err, &dns):
		return "its address cannot be found: " + dns.Err
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, redis.ErrPoolTimeout):
		return server + "did not answer in time"
	case errors.As(err, &errno):
		return server + errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return server + "closed the connection"
	case strings.Contains(err.Error(), "sentinels specified in configuration are unreachable"):
		return "no sentinel answers"
	}
	// What is left (TLS above all) says itself what is wrong, at its root.
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return server + err.Error()
}

// reply is what Redis said, and what to do about it. Some of its errors repeat
// the command's arguments.
func reply(said string) string {
	said, _, _ = strings.Cut(said, ", with args beginning with")
	code, _, _ := strings.Cut(said, " ")
	if advice := adviceOn[code]; advice != "" {
		return said + ": " + advice
	}
	return said
}

var adviceOn = map[string]string{
	"WRONGPASS":   "check username and password",
	"NOAUTH":      "give its password, with password or in the URL",
	"NOPERM":      "give its user the rights that docs/state-redis.md lists",
	"READONLY":    "this server is a replica: name the primary, or the sentinels",
	"CLUSTERDOWN": "the cluster lacks servers",
	"MISCONF":     "Redis cannot save to disk and therefore takes no writes: mend that, or set stop-writes-on-bgsave-error no",
	"LOADING":     "Redis is starting",
	"MOVED":       "this is a cluster: write `cluster` into the block, or name several of its servers",
	"NOREPLICAS":  "Redis has fewer replicas than min-replicas-to-write asks for",
}

// Package chain is how entries of the ledger are written, the same in every
// engine, and how each holds on to the one before, so that one that was changed,
// removed, put in, doubled or moved is found, and named.
//
// # A line
//
//	{"v":2,"seq":17,"prev":"…","event":"given","consent":"…","at":"…",…,"hash":"…"}
//
// One JSON object without a newline in it, its members in this order: v, seq and
// prev first, then the entry's own, beginning with event, hash last. seq counts
// from 1. hash is the SHA-256 of the line's bytes up to, and without,
// `,"hash":`, in base64url without padding (RFC 4648, section 5); prev is the hash
// of the line before, that of 32 zero bytes in the first. So a line can be
// checked alone, and two that follow each other hold on to each other.
//
// # What a chain cannot do
//
// Nothing in it is secret: whoever can write to the record can write another one
// that is whole, from any line to the end, or leave the last lines off. Against
// that helps a Head that is noted where they cannot write: Checker.Want.
package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

const (
	// Version is the v of the lines written here. Members may be added to an entry
	// without a new one, as readers ignore what they do not know.
	Version = 2
	// MaxLine is the most bytes that a line has.
	MaxLine = 64<<10 - 1
	// Start is what every line begins with, of this or a later version.
	Start = `{"v":`
)

const (
	lineStart = `{"v":2,"seq":`
	prevStart = `,"prev":"`
	bodyStart = `,`
	hashStart = `,"hash":"`
	lineEnd   = `"}`
	hashLen   = 43 // 32 bytes in base64url
	tailLen   = len(hashStart) + hashLen + len(lineEnd)
	eventName = `"event":"`
)

var zeroHash = base64.RawURLEncoding.EncodeToString(make([]byte, sha256.Size))

// Head is the last line of a record, or of a part of one: how many there are, and
// the hash that the next one holds on to.
type Head struct {
	Seq  uint64
	Hash string
}

// Genesis is the Head of an empty record.
func Genesis() Head { return Head{0, zeroHash} }

// String is what ParseHead reads.
func (h Head) String() string { return strconv.FormatUint(h.Seq, 10) + ":" + h.Hash }

// ParseHead reads SEQ:HASH.
func ParseHead(s string) (Head, error) {
	number, hash, _ := strings.Cut(s, ":")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || seq == 0 || !isHash(hash) {
		return Head{}, errors.New("not a head: write SEQ:HASH as `caddy kycvs ledger verify` prints it")
	}
	return Head{seq, hash}, nil
}

func isHash(s string) bool {
	if len(s) != hashLen {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil
}

// Body is what a line says beside its place in the chain: the members of its
// object, without the braces, event first.
type Body []byte

// BodyOf writes an entry. It returns an error for one that is not valid.
func BodyOf(e ledger.Entry) (Body, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	e.At, e.Until = e.At.UTC(), e.Until.UTC()
	return bodyOf(e)
}

func bodyOf(v any) (Body, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("ledger: encoding an entry: %w", err)
	}
	b = b[1 : len(b)-1]
	if len(b) > MaxLine-len(lineStart)-20-len(prevStart)-hashLen-len(`"`)-len(bodyStart)-tailLen {
		return nil, fmt.Errorf("ledger: an entry is longer than a line may be, %d bytes", MaxLine)
	}
	return b, nil
}

// Append appends to dst the line of body that comes after head, and returns the
// new head. It adds no newline.
func Append(dst []byte, head Head, body Body) ([]byte, Head) {
	from := len(dst)
	dst = append(dst, lineStart...)
	dst = strconv.AppendUint(dst, head.Seq+1, 10)
	dst = append(dst, prevStart...)
	dst = append(dst, head.Hash...)
	dst = append(dst, '"')
	dst = append(dst, bodyStart...)
	dst = append(dst, body...)
	hash := sum(dst[from:])
	dst = append(dst, hashStart...)
	dst = append(dst, hash[:]...)
	dst = append(dst, lineEnd...)
	return dst, Head{head.Seq + 1, string(hash[:])}
}

func sum(b []byte) (text [hashLen]byte) {
	s := sha256.Sum256(b)
	base64.RawURLEncoding.Encode(text[:], s[:])
	return text
}

// Pruned is what the line says that retention writes when it has removed lines
// from the front: up to which, so that what is now the first line is known to
// hold on to the last one that was removed.
type Pruned struct {
	At time.Time `json:"at"`
	// Through and Hash are the Head of what was removed.
	Through uint64 `json:"through"`
	Hash    string `json:"throughHash"`
	// Removed is how many lines went, Carried how many of them were written again
	// at the end, because they still count.
	Removed uint64 `json:"removed"`
	Carried uint64 `json:"carried"`
	// Before is the time before which entries were removed.
	Before time.Time `json:"before"`
}

// EventPruned is the event of a Pruned. It is no entry: readers pass it over.
const EventPruned ledger.Event = "pruned"

// Head is the last line that was removed.
func (p Pruned) Head() Head { return Head{p.Through, p.Hash} }

// Body writes p.
func (p Pruned) Body() (Body, error) {
	p.At, p.Before = p.At.UTC(), p.Before.UTC()
	return bodyOf(struct {
		Event ledger.Event `json:"event"`
		Pruned
	}{EventPruned, p})
}

// Line is a line that was read.
type Line struct {
	Seq  uint64
	Prev string
	Hash string
	Body Body // of the bytes that were read
	raw  []byte
}

// Head is what the next line holds on to.
func (l Line) Head() Head { return Head{l.Seq, l.Hash} }

// Event is the line's event, whatever it is.
func (l Line) Event() ledger.Event {
	b, _, _ := bytes.Cut(l.Body[len(eventName):], []byte(`"`))
	return ledger.Event(b)
}

// sound reports whether the line's hash is that of its content.
func (l Line) sound() bool {
	h := sum(l.raw[:len(l.raw)-tailLen])
	return string(h[:]) == l.Hash
}

var errUnreadable = errors.New("it cannot be read")

// Read reads a line's place in the chain, strictly, and leaves the entry for
// Entry. It does not say whether the line is what was written: see Checker. No
// error says anything of the line's content, which is where damage could be
// anything.
func Read(raw []byte) (Line, error) {
	if !bytes.HasPrefix(raw, []byte(lineStart)) {
		return Line{}, versionError(raw)
	}
	if len(raw) > MaxLine {
		return Line{}, fmt.Errorf("it is longer than %d bytes", MaxLine)
	}
	l := Line{raw: raw}
	rest := raw[len(lineStart):]
	digits := 0
	for digits < len(rest) && digits <= 20 && '0' <= rest[digits] && rest[digits] <= '9' {
		digits++
	}
	var err error
	if l.Seq, err = strconv.ParseUint(string(rest[:digits]), 10, 64); err != nil || rest[0] == '0' {
		return Line{}, errUnreadable
	}
	rest, ok := bytes.CutPrefix(rest[digits:], []byte(prevStart))
	if !ok || len(rest) < hashLen+len(`",`)+len(eventName)+tailLen {
		return Line{}, errUnreadable
	}
	l.Prev, rest = string(rest[:hashLen]), rest[hashLen:]
	if rest, ok = bytes.CutPrefix(rest, []byte(`",`)); !ok {
		return Line{}, errUnreadable
	}
	l.Body = Body(rest[:len(rest)-tailLen])
	tail := rest[len(rest)-tailLen:]
	if !bytes.HasPrefix(l.Body, []byte(eventName)) || !bytes.HasPrefix(tail, []byte(hashStart)) || !bytes.HasSuffix(tail, []byte(lineEnd)) {
		return Line{}, errUnreadable
	}
	l.Hash = string(tail[len(hashStart) : len(hashStart)+hashLen])
	if !isHash(l.Prev) || !isHash(l.Hash) {
		return Line{}, errUnreadable
	}
	return l, nil
}

// versionError says what a line is that is not of this version.
func versionError(raw []byte) error {
	var v struct{ V int }
	// Unmarshal takes space around and before the object, which no line has.
	if !bytes.HasPrefix(raw, []byte(Start)) || json.Unmarshal(raw, &v) != nil {
		return errUnreadable
	}
	switch {
	case v.V > Version:
		return fmt.Errorf("it was written by a later version of this program (v %d, known is %d): use that one", v.V, Version)
	case v.V == 1:
		return errors.New("it was written before entries were chained (v 1), by a version that was never released: " +
			"move the file away, and a new one is begun")
	}
	return errors.New("it has no version that is known")
}

// Entry reads the entry. ok is false for a line that is none that this version
// knows, and has to be passed over: see also Line.Pruned.
func (l Line) Entry() (e ledger.Entry, ok bool, err error) {
	if !l.Event().Known() {
		// It must be readable all the same.
		if !json.Valid(l.raw) {
			return ledger.Entry{}, false, errUnreadable
		}
		return ledger.Entry{}, false, nil
	}
	if json.Unmarshal(l.raw, &e) != nil {
		return ledger.Entry{}, false, errUnreadable
	}
	switch {
	case !e.Event.Known(): // a second event further behind
		return ledger.Entry{}, false, errUnreadable
	case e.At.IsZero():
		return ledger.Entry{}, false, errors.New("it names no time")
	case e.Consent == "" && (e.Event == ledger.Given || e.Event == ledger.Used || e.Event == ledger.Withdrawn):
		return ledger.Entry{}, false, errors.New("it names no consent")
	case e.Phone == "" && (e.Event == ledger.Locked || e.Event == ledger.Unlocked):
		return ledger.Entry{}, false, errors.New("it names no phone")
	}
	return e, true, nil
}

// Pruned reads what retention wrote; ok is false for any other line.
func (l Line) Pruned() (p Pruned, ok bool, err error) {
	if l.Event() != EventPruned {
		return Pruned{}, false, nil
	}
	if json.Unmarshal(l.raw, &p) != nil || p.Through == 0 || !isHash(p.Hash) {
		return Pruned{}, false, errUnreadable
	}
	return p, true, nil
}

// carriedName begins the member of a line that was carried over: the seq that it
// was first written under.
const carriedName = `,"was":`

// Carry is the line's body, to be written again at the end of the record.
func (l Line) Carry() Body {
	if bytes.Contains(l.Body, []byte(carriedName)) {
		return bytes.Clone(l.Body)
	}
	return strconv.AppendUint(append(bytes.Clone(l.Body), carriedName...), l.Seq, 10)
}

// Phone is the phone that the body names, empty if it names none.
func (b Body) Phone() string {
	var p struct{ Phone string }
	_ = json.Unmarshal(append(append([]byte{'{'}, b...), '}'), &p)
	return p.Phone
}

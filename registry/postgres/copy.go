package postgres

import (
	"encoding/binary"
	"io"

	"github.com/kycvs/caddy-kycvs/registry/loading"
)

// copyStream is the new ones among rows in COPY's binary format
// (https://www.postgresql.org/docs/current/sql-copy.html), made as it is read.
type copyStream struct {
	rows  []loading.Row // still to come
	count int64
	made  []byte
	buf   []byte // of made, what was not read yet
	ended bool
}

const copySignature = "PGCOPY\n\xff\r\n\x00"

func newCopyStream(rows []loading.Row) *copyStream {
	s := &copyStream{rows: rows, made: make([]byte, 0, 128<<10)}
	for i := range rows {
		if rows[i].New && rows[i].Box != nil {
			s.count++
		}
	}
	s.buf = append(s.made, copySignature...)
	s.buf = append(s.buf, 0, 0, 0, 0, 0, 0, 0, 0) // no flags, no header extension
	return s
}

func (s *copyStream) Read(p []byte) (int, error) {
	if len(s.buf) == 0 {
		if s.ended {
			return 0, io.EOF
		}
		s.fill()
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

func (s *copyStream) fill() {
	s.buf = s.made[:0]
	for len(s.rows) > 0 && len(s.buf) < 64<<10 {
		r := &s.rows[0]
		s.rows = s.rows[1:]
		if !r.New || r.Box == nil {
			continue
		}
		s.buf = binary.BigEndian.AppendUint16(s.buf, 2) // fields
		s.buf = binary.BigEndian.AppendUint32(s.buf, uint32(len(r.Index)))
		s.buf = append(s.buf, r.Index[:]...)
		s.buf = binary.BigEndian.AppendUint32(s.buf, uint32(len(r.Box)))
		s.buf = append(s.buf, r.Box...)
	}
	if len(s.rows) == 0 {
		s.buf = binary.BigEndian.AppendUint16(s.buf, 0xffff) // -1: the end
		s.ended = true
	}
	s.made = s.buf
}

package sealed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/registry"
)

// The plaintext of a box, in the order of the records:
//
//	version 1 | people uvarint | each person | zeros to a multiple of 16 bytes
//
//	person  flags: hasID 1, decimalID 2, hasYear 4, doses<<3 (31: uvarint follows)
//	        [doses uvarint] [id: uvarint, or length uvarint and bytes]
//	        name: length uvarint and bytes
//	        [year: one byte, after 1880; 255: varint follows]
//	dose    vaccine: code (vaccines), 0: length uvarint and bytes follow; 128 is set
//	        where what was taken back follows
//	        number<<4 | total; 255: both as uvarints follow
//	        [taken back: registry.Dose.TakenBack, uvarint]
//	        day: two bytes, big endian, 1 for 2000-01-01; 0 for none
//
// The padding hides a little of how long a name is.
const (
	textVersion = 1
	padTo       = 16

	hasID, decimalID, hasYear = 1, 2, 4
	manyDoses                 = 31
	firstYear, otherYear      = 1880, 255
	hasTakenBack              = 128
	largeCounts               = 255
)

// vaccines are the codes of the vaccines of the built-in table. They are written
// into stores: add at the end, change and remove nothing. Any other vaccine is
// written out.
var vaccines = [...]string{
	1: "COVISHIELD", 2: "COVAXIN", 3: "SPUTNIK V", 4: "MODERNA", 5: "CORBEVAX", 6: "COVOVAX", 7: "GEMCOVAC",
	8: "iNCOVACC", 9: "JANSSEN", 10: "SPUTNIK LIGHT", 11: "ZyCoV-D", 12: "GEMCOVAC-OM",
}

func vaccineCode(name string) byte {
	for code, v := range vaccines { // twelve, the most frequent ones first
		if v == name && code > 0 {
			return byte(code)
		}
	}
	return 0
}

var epoch = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)

const daySeconds = 24 * 60 * 60

var errOtherNumber = errors.New("sealed: a record of another number")

// encode appends the plaintext of records.
func encode(dst []byte, m registry.Mobile, records []registry.Record) ([]byte, error) {
	start := len(dst)
	dst = append(dst, textVersion)
	dst = binary.AppendUvarint(dst, uint64(len(records)))
	for i := range records {
		r := &records[i]
		if r.Mobile != m {
			return dst, errOtherNumber
		}
		flags, id := byte(min(len(r.Doses), manyDoses))<<3, uint64(0)
		if r.ID != "" {
			flags |= hasID
			if n, err := strconv.ParseUint(r.ID, 10, 64); err == nil && (r.ID[0] != '0' || r.ID == "0") && r.ID[0] != '+' {
				flags |= decimalID
				id = n
			}
		}
		if r.BirthYear != 0 {
			flags |= hasYear
		}
		dst = append(dst, flags)
		if len(r.Doses) >= manyDoses {
			dst = binary.AppendUvarint(dst, uint64(len(r.Doses)))
		}
		switch {
		case flags&decimalID != 0:
			dst = binary.AppendUvarint(dst, id)
		case flags&hasID != 0:
			dst = appendString(dst, r.ID)
		}
		dst = appendString(dst, r.Name)
		switch y := r.BirthYear - firstYear; {
		case r.BirthYear == 0:
		case y >= 0 && y < otherYear:
			dst = append(dst, byte(y))
		default:
			dst = binary.AppendVarint(append(dst, otherYear), int64(r.BirthYear))
		}
		var err error
		for j := range r.Doses {
			if dst, err = encodeDose(dst, &r.Doses[j]); err != nil {
				return dst, err
			}
		}
	}
	for (len(dst)-start)%padTo != 0 {
		dst = append(dst, 0)
	}
	return dst, nil
}

func encodeDose(dst []byte, d *registry.Dose) ([]byte, error) {
	if d.Number < 0 || d.Total < 0 {
		return dst, fmt.Errorf("sealed: a dose with number %d of %d", d.Number, d.Total)
	}
	code := vaccineCode(d.Vaccine)
	if d.TakenBack != 0 {
		dst = append(dst, code|hasTakenBack)
	} else {
		dst = append(dst, code)
	}
	if code == 0 {
		dst = appendString(dst, d.Vaccine)
	}
	if d.Number < 15 && d.Total < 15 {
		dst = append(dst, byte(d.Number<<4|d.Total))
	} else {
		dst = binary.AppendUvarint(append(dst, largeCounts), uint64(d.Number))
		dst = binary.AppendUvarint(dst, uint64(d.Total))
	}
	if d.TakenBack != 0 {
		dst = binary.AppendUvarint(dst, uint64(d.TakenBack))
	}
	var day int64
	if !d.Date.IsZero() {
		seconds := d.Date.Unix() - epoch.Unix()
		day = seconds / daySeconds
		if seconds%daySeconds != 0 || d.Date.Nanosecond() != 0 || day < 1 || day > 1<<16-1 {
			return dst, errors.New("sealed: the date of a dose is no day between 2000 and 2179, in UTC")
		}
	}
	return binary.BigEndian.AppendUint16(dst, uint16(day)), nil
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// decode reads what encode wrote. Names and ids are parts of text: one
// allocation for all.
func decode(m registry.Mobile, text string) ([]registry.Record, error) {
	d := decoder{rest: text}
	if d.byte() != textVersion {
		return nil, ErrDamaged
	}
	people := d.uvarint()
	if people > uint64(len(d.rest)) { // each takes more than a byte
		return nil, ErrDamaged
	}
	records := make([]registry.Record, people)
	for i := range records {
		d.person(m, &records[i])
		if d.bad {
			return nil, ErrDamaged
		}
	}
	if d.bad || len(d.rest) >= padTo || strings.Trim(d.rest, "\x00") != "" {
		return nil, ErrDamaged
	}
	return records, nil
}

// decoder takes parts off a text; bad once one was not there.
type decoder struct {
	rest string
	bad  bool
}

func (d *decoder) person(m registry.Mobile, r *registry.Record) {
	r.Mobile = m
	flags := d.byte()
	doses := uint64(flags >> 3)
	if doses == manyDoses {
		doses = d.uvarint()
	}
	switch flags & (hasID | decimalID) {
	case hasID | decimalID:
		r.ID = strconv.FormatUint(d.uvarint(), 10)
	case hasID:
		r.ID = d.string()
	}
	r.Name = d.string()
	if flags&hasYear != 0 {
		if y := d.byte(); y != otherYear {
			r.BirthYear = firstYear + int(y)
		} else {
			r.BirthYear = int(d.varint())
		}
	}
	if doses > uint64(len(d.rest)) {
		d.bad = true
	}
	if d.bad || doses == 0 {
		return
	}
	r.Doses = make([]registry.Dose, doses)
	for i := range r.Doses {
		d.dose(&r.Doses[i])
	}
}

func (d *decoder) dose(o *registry.Dose) {
	first := d.byte()
	if code := first &^ hasTakenBack; code == 0 {
		o.Vaccine = d.string()
	} else if int(code) < len(vaccines) {
		o.Vaccine = vaccines[code]
	} else {
		d.bad = true
	}
	if c := d.byte(); c != largeCounts {
		o.Number, o.Total = int(c>>4), int(c&15)
	} else {
		o.Number, o.Total = d.count(), d.count()
	}
	if first&hasTakenBack != 0 {
		o.TakenBack = d.bits()
	}
	if day := int64(d.byte())<<8 | int64(d.byte()); day != 0 {
		o.Date = time.Unix(epoch.Unix()+day*daySeconds, 0).UTC()
	}
}

func (d *decoder) byte() byte {
	if d.rest == "" {
		d.bad = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) uvarint() (n uint64) {
	for shift := 0; ; shift += 7 {
		b := d.byte()
		if shift == 63 && b > 1 {
			d.bad = true
			return 0
		}
		if n |= uint64(b&0x7f) << shift; b < 0x80 {
			return n
		}
	}
}

func (d *decoder) count() int {
	n := d.uvarint()
	if n > math.MaxInt32 {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) bits() uint16 {
	n := d.uvarint()
	if n > math.MaxUint16 {
		d.bad = true
		return 0
	}
	return uint16(n)
}

func (d *decoder) varint() int64 {
	n := d.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

package doses

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// FHIR R4 as NDJSON: one resource a line, as bulk exports write it. Immunization and
// Patient are read, other resources are passed over, but for a Bundle, which would
// be a file in itself.
//
// A Patient is a person without a dose, an Immunization a dose of the Patient it
// refers to, by reference or by identifier. Where that Patient may stand:
//
//   - in the Immunization itself, contained;
//   - anywhere in the same file, if the file can be read twice (io.Seeker): a first
//     pass remembers the Patients, a second one makes rows;
//   - before the Immunization, if it can be read but once, as standard input;
//   - in any file, if Config.Patients were collected from all of them first.
//
// An Immunization whose Patient is nowhere there is set aside. Patients are
// remembered in bounded memory (Patients).

// openFHIR gets ready to read r, which again gives anew, nil if it can be read but once.
func (p *Parallel) openFHIR(r io.Reader, again func() (io.Reader, error)) {
	open := func(r io.Reader) { p.blocks = newBlocks(r, p.c, 1, nil) }
	open(r)
	patients, turns := p.c.Patients, (*turnstile)(nil)
	if patients == nil {
		patients = NewPatients(0)
		if again == nil {
			turns = newTurnstile()
			p.before = func(ctx context.Context) error {
				context.AfterFunc(ctx, turns.stop)
				return nil
			}
		} else {
			p.before = func(ctx context.Context) error {
				first := &Parallel{c: p.c, workers: p.workers, blocks: p.blocks}
				if err := patients.collect(ctx, first); err != nil {
					return err
				}
				r, err := again()
				if err == nil {
					open(r)
				}
				return err
			}
		}
	}
	p.reader = func() batchReader { return newFHIRBatches(p.c, patients, turns) }
}

// fhirPaths are what a column is in FHIR, for messages.
var fhirPaths = [columnCount]string{
	mobileNumber: "Patient.telecom", fullName: "Patient.name", birthYear: "Patient.birthDate", beneficiaryID: "Patient.identifier",
	vaccine: "vaccineCode", dose: "protocolApplied.doseNumber", totalDoses: "protocolApplied.seriesDoses",
	date: "occurrenceDateTime", recordStatus: "status",
}

// fhirBatches makes rows of blocks of NDJSON. A resource becomes a record as CSV has
// them, so that what is accepted and what is said about the rest is the same.
type fhirBatches struct {
	*Reader
	patients *Patients
	turns    *turnstile // nil where all Patients are known
}

func newFHIRBatches(c Config, patients *Patients, turns *turnstile) *fhirBatches {
	h := header{width: int(columnCount), name: fhirPaths}
	for i := range h.place {
		h.place[i] = i
	}
	t := &table{fields: make([][]byte, columnCount)}
	return &fhirBatches{newReader(t, h, c), patients, turns}
}

// line is a line that was parsed.
type line struct {
	number   int
	raw      []byte
	resource *resource
	reason   string // what is wrong with it, if anything
}

func (f *fhirBatches) read(b block, into *Batch) {
	lines := parseLines(b, f.MaxRow)
	if f.turns != nil {
		if !f.turns.wait(b.number) {
			return
		}
		defer f.turns.done()
	}
	for _, l := range lines {
		f.t.start, f.t.raw = l.number, l.raw
		row, err := Row{}, error(nil)
		if l.reason != "" {
			err = f.fail("", l.reason)
		} else {
			err = f.make(l.resource, &row)
		}
		rowError := (*RowError)(nil)
		switch {
		case err == nil:
			into.Rows = append(into.Rows, row)
		case errors.As(err, &rowError):
			into.Rejected = append(into.Rejected, Rejected{rowError, l.raw})
		}
	}
}

// parseLines parses the lines of a block, leaving out what is passed over.
func parseLines(b block, maxRow int) (lines []line) {
	number := b.line - 1
	for rest := b.data; len(rest) > 0; {
		text, more, _ := bytes.Cut(rest, []byte{'\n'})
		rest = more
		number++
		if number == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
		}
		l := line{number: number, raw: bytes.TrimSuffix(text, []byte{'\r'})}
		switch {
		case len(text) > maxRow+1:
			l.raw, l.reason = text[:maxRow], fmt.Sprintf("the line is longer than %d bytes", maxRow)
		case len(bytes.TrimSpace(text)) == 0:
			continue
		case !utf8.Valid(text):
			l.reason = "not UTF-8: JSON is written in UTF-8"
		default:
			l.resource = &resource{}
			err := json.Unmarshal(text, l.resource)
			if l.resource.ResourceType == "" {
				if row := unwrapped(text); row != nil {
					l.raw, l.resource = row, &resource{}
					err = json.Unmarshal(row, l.resource)
				}
			}
			typeError := (*json.UnmarshalTypeError)(nil)
			switch l.resource.ResourceType {
			case "Patient", "Immunization":
				if err != nil { // which could show what stands there
					l.reason = "not a resource of FHIR R4: something in it is of another type"
				}
			case "Bundle":
				l.reason = "a Bundle: write its resources, one a line"
			case "":
				l.reason = "not a resource of FHIR in JSON: write one a line, on one line"
			default:
				if err == nil || errors.As(err, &typeError) {
					continue
				}
				l.reason = "not JSON: write one resource a line, on one line"
			}
		}
		lines = append(lines, l)
	}
	return lines
}

// unwrapped returns the row of a line out of a file of rejected rows, in which it
// stands in an object beside its line and reason, nil if the text is no such line.
func unwrapped(text []byte) []byte {
	var w struct {
		Line   *int            `json:"line"`
		Reason *string         `json:"reason"`
		Row    json.RawMessage `json:"row"`
	}
	if json.Unmarshal(text, &w) != nil || w.Line == nil || w.Reason == nil || len(w.Row) == 0 {
		return nil
	}
	var row string
	if json.Unmarshal(w.Row, &row) != nil {
		return w.Row
	}
	if strings.Contains(row, "\n") { // no line was that
		return nil
	}
	return []byte(row) // it was no JSON
}

// make makes a row of a Patient or an Immunization.
func (f *fhirBatches) make(r *resource, row *Row) error {
	fields := f.t.fields
	clear(fields)
	if r.ResourceType == "Patient" {
		who := r.patient(f.Countries, false)
		who.fill(fields)
		if err := f.row(row); err != nil {
			return err
		}
		if f.turns != nil {
			return f.remember(r, who)
		}
		return nil
	}

	who, reason := f.who(r)
	if reason != "" {
		return f.fail("patient", reason)
	}
	who.fill(fields)
	switch r.Status {
	case "completed", "entered-in-error", "not-done":
		fields[recordStatus] = []byte(r.Status)
	default:
		return f.fail("status", "not a status: FHIR has completed, entered-in-error, not-done")
	}
	name, reason := r.VaccineCode.vaccine(f.Schedule)
	if reason != "" {
		return f.fail("vaccineCode", reason)
	}
	fields[vaccine] = []byte(name)
	fields[date] = []byte(r.OccurrenceDateTime)
	if r.OccurrenceDateTime == "" {
		fields[date] = []byte(r.OccurrenceString)
	}
	for _, p := range r.ProtocolApplied {
		if n := p.number(); n != "" {
			fields[dose], fields[totalDoses] = []byte(n), []byte(p.total())
			break
		}
	}
	return f.row(row)
}

func (f *fhirBatches) remember(r *resource, who patient) error {
	if err := f.patients.add(r, who); err != nil {
		return f.fail("", err.Error())
	}
	return nil
}

// who returns the Patient of an Immunization, or why there is none.
func (f *fhirBatches) who(r *resource) (patient, string) {
	key := r.Patient.key()
	if id, found := bytes.CutPrefix([]byte(r.Patient.Reference), []byte{'#'}); found {
		for _, text := range r.Contained {
			var c resource
			if err := json.Unmarshal(text, &c); err == nil && c.ResourceType == "Patient" && c.ID == string(id) {
				return c.patient(f.Countries, true), ""
			}
		}
		return patient{}, "refers to a Patient that it does not contain"
	}
	if key == "" {
		return patient{}, "empty: refer to a Patient, by reference or identifier"
	}
	if who, known := f.patients.find(key); known {
		return who, ""
	}
	if f.turns != nil {
		return patient{}, "its Patient does not stand before it, or was set aside itself: write the Patients first"
	}
	return patient{}, "its Patient is not there, or was set aside itself"
}

// turnstile lets blocks through in their order.
type turnstile struct {
	mu      sync.Mutex
	moved   sync.Cond
	next    int
	stopped bool
}

func newTurnstile() *turnstile {
	t := &turnstile{}
	t.moved.L = &t.mu
	return t
}

// wait waits until it is a block's turn. It returns false if that will not be.
func (t *turnstile) wait(number int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.next != number && !t.stopped {
		t.moved.Wait()
	}
	return !t.stopped
}

func (t *turnstile) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	t.moved.Broadcast()
}

func (t *turnstile) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.moved.Broadcast()
}

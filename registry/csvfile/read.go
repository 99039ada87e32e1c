package csvfile

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"

	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/doses"
)

// reading is what reading the file gave.
type reading struct {
	content *content
	sum     uint64 // a hash of the file, for this process
	good    int    // rows that make sense
	bad     int    // rows that do not
	shown   []*doses.RowError
}

// maxShown is how many of the rows set aside are named in the log.
const maxShown = 10

var seed = maphash.MakeSeed()

// read reads the file, and notes which one it was, unless ctx ends first.
func (r *Registry) read(ctx context.Context) (reading, error) {
	var read reading
	f, err := os.Open(r.config.Path)
	if err != nil {
		if p := (*os.PathError)(nil); errors.As(err, &p) {
			err = p.Err // the caller names the path
		}
		return read, fmt.Errorf("cannot be opened: %w: check that it is there and may be read", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return read, err
	}
	r.seen = newLook(info)
	if !info.Mode().IsRegular() {
		return read, errors.New("not a file: name a CSV file of doses")
	}

	var hash maphash.Hash
	hash.SetSeed(seed)
	reader, err := doses.NewReader(io.TeeReader(f, &hash), doses.Config{
		Countries: r.config.Countries, Schedule: r.config.Schedule, Now: r.config.Now,
	})
	if err != nil {
		return read, err
	}
	byMobile := make(map[registry.Mobile][]doses.Row)
	for row, err := range reader.Rows() {
		if ctx.Err() != nil {
			r.seen = look{} // not read, so look again
			return read, ctx.Err()
		}
		rowError := (*doses.RowError)(nil)
		switch {
		case errors.As(err, &rowError):
			if read.bad++; read.bad <= maxShown {
				read.shown = append(read.shown, rowError)
			}
		case err != nil:
			return read, err
		default:
			read.good++
			byMobile[row.Mobile] = append(byMobile[row.Mobile], row)
		}
	}
	read.sum = hash.Sum64()
	if err := r.judge(read); err != nil {
		return read, err
	}

	read.content = &content{records: make(map[registry.Mobile][]registry.Record, len(byMobile))}
	for mobile, rows := range byMobile {
		people := doses.Merge(rows, r.config.Schedule)
		read.content.records[mobile] = people
		read.content.people += len(people)
		delete(byMobile, mobile) // the rows are not needed beside the records
	}
	return read, nil
}

// judge refuses a file that is more likely a mistake than a list with mistakes.
func (r *Registry) judge(read reading) error {
	if rows := read.good + read.bad; read.bad*10 > rows {
		return fmt.Errorf("%d of %d rows make no sense, correct them first: %w", read.bad, rows, read.shown[0])
	}
	if people := r.People(); read.good == 0 && people > 0 {
		return fmt.Errorf("it has no rows, where there were %d people: restart if that is meant", people)
	}
	return nil
}

// Package sample makes up people and their doses, as many as are asked for, in
// about the proportions of India's campaign: which vaccines were given, when, to
// whom and how often, families on one mobile number, names in Latin letters and in
// the scripts of nine languages. They are for trying things out and for measuring.
// Nobody in a sample is anybody: numbers and ids are drawn by lot, and a number that
// is somebody's is so by chance.
//
// A sample is the same, byte for byte, whenever and wherever it is made from the same
// Config. A change to what is made for a Config is a new version of the format: tests
// and figures that others keep depend on it.
package sample

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/kycvs/caddy-kycvs/registry"
)

// Config says which people to make.
type Config struct {
	// People is how many, at most 10^9.
	People int
	// Seed picks other people.
	Seed uint64
	// Noise is how many of the rows, from 0 to 1, are typed as people type: the number
	// with its country code or in Devanagari digits, the name in capitals, with a
	// salutation or spaces to spare, the date in another order. What the rows say
	// stays the same.
	Noise float64
	// Workers is how many goroutines make rows; 0: one for each core. The sample does not
	// depend on it.
	Workers int
}

// Header is the first line of a sample.
const Header = "mobile_number,full_name,vaccine,dose,total_doses,date,birth_year,beneficiary_id,record_status"

// maxPeople keeps families' numbers within those that mobile phones can have.
const maxPeople = 1_000_000_000

func (c Config) check() error {
	switch {
	case c.People < 0 || c.People > maxPeople:
		return fmt.Errorf("%d people: write a number from 0 to %d", c.People, maxPeople)
	case !(c.Noise >= 0 && c.Noise <= 1):
		return errors.New("noise is the share of rows that have it: write a number from 0 to 1")
	}
	return nil
}

// Write writes a sample as CSV (contract, section 7), in memory that does not grow
// with it. It returns the first error of w. The rows of a person are near each
// other, but not together: within each 4096 people the first doses come first, then
// the second, each in another order.
func Write(w io.Writer, c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	if _, err := io.WriteString(w, Header+"\n"); err != nil {
		return err
	}
	workers := c.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	t := newTown(c)
	windows := (c.People + window - 1) / window

	// Window n is made by worker n modulo workers, and written in order.
	type lane struct{ free, made chan []byte }
	lanes := make([]lane, min(workers, max(windows, 1)))
	stop := make(chan struct{})
	var working sync.WaitGroup
	for i := range lanes {
		l := lane{make(chan []byte, 2), make(chan []byte, 2)}
		l.free <- nil
		l.free <- nil
		lanes[i] = l
		working.Go(func() {
			wr := &writer{town: t, noise: int(c.Noise * 1_000_000)}
			for n := i; n < windows; n += len(lanes) {
				select {
				case b := <-l.free:
					l.made <- wr.window(b[:0], n)
				case <-stop:
					return
				}
			}
		})
	}
	defer working.Wait()
	defer close(stop)
	for n := range windows {
		l := lanes[n%len(lanes)]
		b := <-l.made
		if _, err := w.Write(b); err != nil {
			return err
		}
		l.free <- b
	}
	return nil
}

// PersonAt returns person i of a sample, 0 to c.People-1, as a registry that
// imported it has them.
func PersonAt(c Config, i int) (registry.Record, error) {
	if err := c.check(); err != nil {
		return registry.Record{}, err
	}
	if i < 0 || i >= c.People {
		return registry.Record{}, fmt.Errorf("person %d of %d: write a number from 0", i, c.People)
	}
	var room [street]person
	return newTown(c).street(i/street, &room)[i%street].record(), nil
}

// Expect returns what a registry that imported a sample, and nothing else, must
// answer when it is asked for person i of it. No two people of one number have the
// same name, so that it answers without the year of birth as well. It panics where
// PersonAt returns an error.
func Expect(c Config, i int) (mobile registry.Mobile, name string, birthYear int, status registry.Status) {
	r, err := PersonAt(c, i)
	if err != nil {
		panic(err)
	}
	return r.Mobile, r.Name, r.BirthYear, registry.Schedule{}.StatusOf(r.Doses)
}

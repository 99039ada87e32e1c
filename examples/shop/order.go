package main

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// need is the status that the railway asks of every traveller.
const need = 2

// order is one ticket under way.
type order struct {
	ID         string
	Train      string
	Travellers []*traveller
	Booked     time.Time // zero until then
	owner      string    // the browser's session
}

// traveller is one person on a ticket, and how far their check has come.
type traveller struct {
	N      int
	Name   string
	Nonce  string // for the frame: an answer without it was asked for elsewhere
	TxnID  string // of a check by API under way
	Status int    // -1 until there is an answer
	state  string // for the redirect
	sub    string
}

func (t *traveller) Answered() bool { return t.Status >= 0 }

func (o *order) answered() bool {
	for _, t := range o.Travellers {
		if !t.Answered() {
			return false
		}
	}
	return true
}

// Refused says that everybody is answered and somebody may not travel.
func (o *order) Refused() bool { return o.answered() && o.Booked.IsZero() }

var (
	errUsed = errors.New("this answer was used before")
	errSame = errors.New("this person is on the ticket already: each traveller does a check of their own")
	errGone = errors.New("this check is over")
)

// orders are all there are. A real shop has a database.
type orders struct {
	mu   sync.Mutex
	byID map[string]*order
	seen map[string]time.Time // assertions that were used, until they end
}

func newOrders() *orders { return &orders{byID: map[string]*order{}, seen: map[string]time.Time{}} }

func (s *orders) begin(owner, train string, names []string) *order {
	o := &order{ID: rand.Text(), Train: train, owner: owner}
	for i, name := range names {
		o.Travellers = append(o.Travellers, &traveller{N: i + 1, Name: name, Status: -1, Nonce: rand.Text()})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[o.ID] = o
	return o
}

// with does something to a traveller of the session's order.
func (s *orders) with(owner, id string, n int, do func(*order, *traveller) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.byID[id]
	if o == nil || o.owner != owner || n < 1 || n > len(o.Travellers) {
		return errGone
	}
	return do(o, o.Travellers[n-1])
}

// take notes a verified answer and, if it was the last one that was missing,
// books: the status and the ticket are one transaction, so nobody travels on an
// answer from before. An assertion counts once.
func (s *orders) take(owner, id string, n int, c assertion.Claims, now time.Time) error {
	return s.with(owner, id, n, func(o *order, t *traveller) error {
		for jti, until := range s.seen {
			if now.After(until) {
				delete(s.seen, jti)
			}
		}
		if _, used := s.seen[c.ID]; used {
			return errUsed
		}
		for _, other := range o.Travellers {
			if other != t && other.sub == c.Subject {
				return errSame
			}
		}
		s.seen[c.ID] = time.Unix(c.Expires, 0).Add(time.Minute)
		t.Status, t.sub = c.VaccinationStatus, c.Subject
		t.Nonce, t.state, t.TxnID = "", "", ""
		if !o.answered() || !o.Booked.IsZero() {
			return nil
		}
		for _, t := range o.Travellers {
			if t.Status < need {
				return nil
			}
		}
		o.Booked = now
		return nil
	})
}

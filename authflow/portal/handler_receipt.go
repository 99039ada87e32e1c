package portal

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
	"github.com/kycvs/caddy-kycvs/authflow/receipt"
)

// receiptName is what a downloaded receipt is called: nothing that tells on whose
// machine it lies what it is about.
const receiptName = "consent-receipt.json"

// receipt serves the receipt of a consent as a file.
func (q *request) receipt() {
	a := q.audience(q.query().Get("for"))
	if a == nil {
		q.refuse(http.StatusNotFound, RefusalNotFound)
		return
	}
	p, ok := q.holds(a)
	if !ok {
		q.empty(a)
		return
	}
	f, err := q.facts(a, &p)
	if err != nil {
		q.fail(err)
		return
	}
	text, _, err := q.signed(f)
	if err != nil {
		q.fail(err)
		return
	}
	h := q.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="`+receiptName+`"`)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Content-Type-Options", "nosniff")
	if q.r.Method != http.MethodHead {
		_, _ = q.Write(text)
	}
}

// empty says that this browser holds no pass for a partner.
func (q *request) empty(a *authflow.Audience) {
	if q.json {
		q.Header().Set("WWW-Authenticate", "KYCVS")
		WriteProblem(q, q.r, Problem{Status: http.StatusUnauthorized, Detail: Text(q.lang, "empty.text"), Start: q.start(a)})
		return
	}
	q.page(http.StatusUnauthorized, EmptyPassView{For: q.forField(a)})
}

// facts are what the receipt of a pass says; an error means that the ledger
// cannot be read now.
func (q *request) facts(a *authflow.Audience, p *pass.Pass) (receipt.Facts, error) {
	s, err := q.shown(p)
	if err != nil {
		return receipt.Facts{}, err
	}
	return receipt.Facts{
		Issuer: a.Issuer, Partner: a.ID, Name: a.Name, Purpose: a.Purpose,
		Controller: q.Notice.Controller, Contact: q.Notice.Contact, Grievance: q.Notice.Grievance,
		Withdraw: q.origin(a) + Prefix + "pass",
		Consent:  authflow.FormatID(p.Consent), Subject: authflow.FormatID(p.Subject), TxnID: authflow.FormatTxnID(p.TxnID),
		Notice: s.notice, Lang: s.lang, How: cmp.Or(s.how, authflow.HowOTP),
		Given: time.Unix(p.AuthTime, 0), Until: time.Unix(p.Expires, 0), Now: q.Now(),
	}, nil
}

// signed returns the receipt as a file and as it is signed.
func (q *request) signed(f receipt.Facts) (file []byte, compact string, err error) {
	signer, err := q.Minter.Keys.Signer()
	if err != nil {
		return nil, "", err
	}
	return receipt.File(signer, receipt.New(f))
}

// origin is where the site is that the person sees. Its port is in no
// configuration, so that is taken from the request, whose host is the site's.
func (q *request) origin(a *authflow.Audience) string {
	scheme := "http://"
	if q.r.TLS != nil {
		scheme = "https://"
	}
	if host, port, err := net.SplitHostPort(q.r.Host); err == nil && host == a.Host {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			return scheme + net.JoinHostPort(a.Host, strconv.FormatUint(n, 10))
		}
	}
	return scheme + a.Host
}

// shown is what a person was shown when they consented, as the ledger has it;
// empty where the consent is in another instance's ledger.
type shown struct{ notice, lang, how string }

// shown looks it up once for each consent: it does not change.
func (q *request) shown(p *pass.Pass) (shown, error) {
	if s, ok := q.records.known(p.Consent); ok {
		return s, nil
	}
	r, err := q.record(*p)
	if err != nil {
		return shown{}, err
	}
	var s shown
	id := authflow.FormatID(p.Consent)
	for _, c := range r.Consents {
		if c.ID == id {
			s = shown{c.Notice, c.Lang, c.How}
		}
	}
	q.records.know(p.Consent, s)
	return s, nil
}

// record reads the ledger about a number. That may take as long as reading a
// whole file, so each number is read once at a time, and a few at most.
func (q *request) record(p pass.Pass) (authflow.Record, error) {
	done, err := q.records.turn(q.r.Context(), p.Number)
	if err != nil {
		return authflow.Record{}, err
	}
	defer done()
	return q.Flow.Record(q.r.Context(), p)
}

const (
	maxReaders = 4
	waitToRead = 5 * time.Second
	maxShown   = 1 << 16
)

// records holds back whoever reads the ledger, and keeps what need not be read
// again. The zero value is ready.
type records struct {
	mu      sync.Mutex
	reading map[[8]byte]struct{} // the numbers that are being read about
	changed chan struct{}        // closed when one of them is done
	shown   map[[16]byte]shown
}

var errReaders = errors.New("too many people look at their records at once")

// turn waits until the ledger may be read about a number; done gives the turn
// back.
func (r *records) turn(ctx context.Context, number [8]byte) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, waitToRead)
	defer cancel()
	for {
		r.mu.Lock()
		if r.changed == nil {
			r.reading, r.changed = map[[8]byte]struct{}{}, make(chan struct{})
		}
		if _, busy := r.reading[number]; !busy && len(r.reading) < maxReaders {
			r.reading[number] = struct{}{}
			r.mu.Unlock()
			return func() { r.done(number) }, nil
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, &authflow.Error{Code: authflow.TooManyRequests, RetryAfter: waitToRead, Cause: errReaders}
		}
	}
}

func (r *records) done(number [8]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.reading, number)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *records) known(consent [16]byte) (shown, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.shown[consent]
	return s, ok
}

func (r *records) know(consent [16]byte, s shown) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shown == nil || len(r.shown) >= maxShown {
		r.shown = map[[16]byte]shown{}
	}
	r.shown[consent] = s
}

package remote_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow"
	test "github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/file"
	"github.com/kycvs/caddy-kycvs/authflow/remote"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

const (
	origin  = "https://kyc.example"
	key     = "kp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	partner = "mall"
)

// fake is an authority as the contract's section 5 has it, over a real handshake.
// It is an http.RoundTripper too, so that it works where time is not real.
type fake struct {
	*test.World
	at     *authflow.Audience
	minter *authflow.Minter

	mu     sync.Mutex
	calls  map[string]int
	bodies []string
	// broken answers in place of the authority, by path; nil for as usual.
	broken map[string]http.HandlerFunc
	// away: no connection is made; lost: the answer is.
	away, lost bool
	withdrawn  []string // consents, in order
	times      []time.Time
	since      []string
	pageSize   int
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{World: test.New(t, func(c *authflow.Config) { c.Now = time.Now; c.Limits.CodesTotal.Count = 1 << 30 }), calls: map[string]int{}, broken: map[string]http.HandlerFunc{}, pageSize: 2}
	f.at = f.Audience("kyc.example", partner, "Entry")
	f.at.Issuer = origin
	f.at.Session = 15 * time.Minute
	f.minter = &authflow.Minter{Keys: f.Keys, Observer: f.Counts}
	return f
}

func (f *fake) breakAt(path string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken[path] = h
}

func (f *fake) set(away, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away, f.lost = away, lost
}

// count is how often a path was asked.
func (f *fake) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[path]
}

func (f *fake) withdraw(consent string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.withdrawn = append(f.withdrawn, consent)
	f.times = append(f.times, time.Now())
}

// RoundTrip implements http.RoundTripper.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	away, lost := f.away, f.lost
	f.mu.Unlock()
	if away {
		return nil, errors.New("connection refused")
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	f.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if lost {
		return nil, errors.New("connection reset by peer")
	}
	return rec.Result(), nil
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.calls[r.URL.Path]++
	f.bodies = append(f.bodies, string(body))
	broken := f.broken[r.URL.Path]
	f.mu.Unlock()
	if broken != nil {
		broken(w, r)
		return
	}
	if r.URL.Path == "/.kycvs/jwks.json" {
		answer(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{f.Keys.Public}})
		return
	}
	if r.URL.Path == statusPath {
		f.status(w, r)
		return
	}
	if r.Header.Get("X-Api-Key") != key {
		answer(w, 403, map[string]string{"message": "Forbidden"})
		return
	}
	var in struct {
		Mobile    string `json:"mobile_number"`
		Name      string `json:"full_name"`
		Consent   string `json:"consent"`
		TxnID     string `json:"txnId"`
		ClientIP  string `json:"client_ip"`
		OTP       string `json:"otp"`
		BirthYear string `json:"birth_year"`
	}
	_ = json.Unmarshal(body, &in)
	txn, _ := authflow.ParseTxnID(in.TxnID)
	by := authflow.Asker{Browser: authflow.ID128{7}, Lang: "en", IP: netip.MustParseAddr("192.0.2.1")}
	switch r.URL.Path {
	case generatePath:
		var asked authflow.Asked
		var err error
		if in.TxnID != "" {
			asked, err = f.Resend(r.Context(), f.at, by, txn)
		} else {
			asked, err = f.Ask(r.Context(), f.at, by, authflow.Person{Mobile: in.Mobile, Name: in.Name, Consent: in.Consent}, "")
		}
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, 200, map[string]any{
			"txnId": authflow.FormatTxnID(asked.TxnID), "masked_mobile": asked.MaskedMobile, "expires_in": int(asked.ExpiresIn.Seconds()),
			"resend_after": int(asked.ResendAfter.Seconds()), "attempts_left": asked.AttemptsLeft, "unknown": []int{1},
		})
	case confirmPath:
		code, _ := authflow.HashedCode(in.OTP)
		g, err := f.Confirm(r.Context(), f.at, by.Browser, txn, authflow.Proof{Code: code, BirthYear: in.BirthYear})
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, 200, map[string]string{"token": g.Token})
	case withdrawPath:
		if _, err := authflow.ParseID(consentOf(body)); err != nil {
			answer(w, 400, map[string]string{"code": "bad_request"})
			return
		}
		f.withdraw(consentOf(body))
		w.WriteHeader(204)
	case withdrawnPath:
		f.list(w, r)
	default:
		http.NotFound(w, r)
	}
}

func consentOf(body []byte) string {
	var in struct{ Consent string }
	_ = json.Unmarshal(body, &in)
	return in.Consent
}

func (f *fake) status(w http.ResponseWriter, r *http.Request) {
	p, err := f.at.Sealer.Open(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if err != nil || r.Header.Get("X-Api-Key") != "" {
		answer(w, 401, map[string]string{"code": "txn_unknown"})
		return
	}
	m, err := f.minter.Mint(f.at, &p, time.Minute, time.Now())
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, 200, map[string]any{"vaccination_status": p.Status, "assertion": m.Compact()})
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := r.URL.Query().Get("since")
	f.since = append(f.since, text)
	since, err := time.Parse(time.RFC3339, text)
	if err != nil {
		answer(w, 400, map[string]string{"code": "bad_request"})
		return
	}
	list := []map[string]string{}
	next := time.Now().UTC().Format(time.RFC3339Nano)
	for i, c := range f.withdrawn {
		if f.times[i].After(since) && len(list) < f.pageSize {
			next = f.times[i].UTC().Format(time.RFC3339Nano)
			list = append(list, map[string]string{"consent": c, "at": next})
		}
	}
	answer(w, 200, map[string]any{"withdrawn": list, "next": next})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, err error) {
	e := (*authflow.Error)(nil)
	if !errors.As(err, &e) {
		e = &authflow.Error{Code: authflow.Unavailable}
	}
	m := map[string]any{"errorCode": "USRAUT0014", "error": "no", "code": e.Code}
	status := 400
	switch e.Code {
	case authflow.TxnUnknown:
		status = 401
	case authflow.TooManyRequests:
		status = 429
		w.Header().Set("Retry-After", "17")
	case authflow.Unavailable:
		status = 503
		w.Header().Set("Retry-After", "9")
	case authflow.OTPInvalid:
		m["attempts_left"] = e.AttemptsLeft
	case authflow.Ambiguous:
		if e.Need != "" {
			m["need"] = e.Need
		}
	}
	answer(w, status, m)
}

const (
	generatePath  = "/api/v3/vaccination/generateOTP"
	confirmPath   = "/api/v3/vaccination/confirmOTP"
	statusPath    = "/api/v3/vaccination/status"
	withdrawPath  = "/api/v3/consent/withdraw"
	withdrawnPath = "/api/v3/consent/withdrawn"
)

// place is a gate's side: its Flow, the Client it asks by, and what was logged.
type place struct {
	*test.World
	client *remote.Client
	at     *authflow.Audience
	log    *bytes.Buffer
	logMu  sync.Mutex
}

func (p *place) Write(b []byte) (int, error) {
	p.logMu.Lock()
	defer p.logMu.Unlock()
	return p.log.Write(b)
}

func (p *place) logged() string {
	p.logMu.Lock()
	defer p.logMu.Unlock()
	return p.log.String()
}

// newPlace sets up a gate that asks f; change may alter how.
func newPlace(t testing.TB, f *fake, change ...func(*remote.Config)) *place {
	t.Helper()
	p := &place{log: new(bytes.Buffer)}
	logger := slog.New(slog.NewTextHandler(p, nil))
	var c authflow.Config
	p.World = test.New(t, func(conf *authflow.Config) {
		conf.Now, conf.Logger = time.Now, logger
		conf.Limits.CodesTotal.Count = 1 << 30
		c = *conf
	})
	cfg := remote.Config{
		URL: origin, Partner: partner, Key: key, Longest: 12 * time.Hour,
		Withdrawals: p.World.Withdrawals, Ledger: p.World.Ledger, Transport: f, Logger: logger,
	}
	for _, change := range change {
		change(&cfg)
	}
	client, err := remote.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	p.client = client
	c.Registry = nil
	c.Messenger = nil
	c.Logger = logger
	c.Withdrawals, c.Ledger = p.World.Withdrawals, p.World.Ledger
	c.Authorities = map[string]authflow.Authority{partner: client}
	p.Flow = authflow.New(c)
	p.at = &authflow.Audience{
		Partner: authflow.Partner{ID: partner, Name: "Mall", Purpose: "Entry", Authority: client.Issuer()},
		Host:    "mall.example", Issuer: "https://mall.example", Session: 12 * time.Hour, TTL: time.Minute,
	}
	p.at.Seal(p.Secret.Keys("pass"), "mall.example")
	return p
}

// openLedger opens a ledger of its own that outlives a Client.
func openLedger(t *testing.T) ledger.Ledger {
	t.Helper()
	l, err := file.Open(file.Config{Path: filepath.Join(t.TempDir(), "ledger.jsonl"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func alone(t *testing.T) *withdrawals.Exchange {
	t.Helper()
	x, err := withdrawals.Open(withdrawals.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

var by = authflow.Asker{Browser: authflow.ID128{1}, IP: netip.MustParseAddr("198.51.100.7"), Lang: "en"}

func asha() authflow.Person {
	return authflow.Person{Mobile: test.Asha, Name: "Asha Rao", Consent: "Y"}
}

func codeOf(err error) authflow.Code {
	if e := (*authflow.Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return authflow.Code(err.Error())
	}
	return ""
}

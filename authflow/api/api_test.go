package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/authflowtest"
	"github.com/kycvs/caddy-kycvs/authflow/state"
)

const origin = "https://kyc.example"

// service is an authority under test.
type service struct {
	*authflowtest.World
	t         testing.TB
	h         *Handler
	state     *failing
	audiences []*authflow.Audience
	keys      map[string]string // by partner
	outcomes  map[string]int
	logged    bytes.Buffer
}

// failing is a state that can be told to be away.
type failing struct {
	state.Store
	away bool
}

var errAway = errors.New("away")

func (f *failing) Take(ctx context.Context, b ...state.Budget) ([]string, error) {
	if f.away {
		return nil, errAway
	}
	return f.Store.Take(ctx, b...)
}

func (f *failing) Count(ctx context.Context, id, scope state.Key) (state.Handshake, error) {
	if f.away {
		return state.Handshake{}, errAway
	}
	return f.Store.Count(ctx, id, scope)
}

func (f *failing) List(ctx context.Context, key state.Key) ([][]byte, error) {
	if f.away {
		return nil, errAway
	}
	return f.Store.List(ctx, key)
}

func (s *service) API(call, outcome string) { s.outcomes[call+" "+outcome]++ }

func newService(t testing.TB, change ...func(*authflow.Config)) *service {
	s := &service{t: t, keys: map[string]string{}, outcomes: map[string]int{}}
	s.World = authflowtest.New(t, func(c *authflow.Config) {
		s.state = &failing{Store: c.State}
		c.State = s.state
		c.OTP.ResendAfter = 5 * time.Second
		c.Limits.CodesPerMobile.Count = 100
		for _, f := range change {
			f(c)
		}
	})
	s.h = &Handler{
		Flow: s.Flow, Minter: &authflow.Minter{Keys: s.Keys, Observer: s.Counts}, Withdrawals: &s.World.Withdrawals.Set,
		Observer: s, Logger: slog.New(slog.NewTextHandler(&s.logged, nil)), Now: s.Now,
		Language: func(tag string) string {
			if tag == "hi" {
				return "hi"
			}
			return "en"
		},
	}
	s.add("rail", authflow.Partner{SubPartners: []authflow.SubPartner{{ID: "yatra", Name: "Yatra Travels"}}, Programs: authflow.Programs{Codes: authflow.Limit{Count: 1000, Window: time.Hour}}})
	s.add("tight", authflow.Partner{Programs: authflow.Programs{Codes: authflow.Limit{Count: 1, Window: time.Hour}}})
	s.add("bycode", authflow.Partner{Programs: authflow.Programs{ConsentByCode: true}})
	return s
}

func (s *service) add(id string, p authflow.Partner) {
	p.ID, p.Name, p.Purpose = id, strings.ToUpper(id), "Purpose of "+id
	key := authflow.NewPartnerKey()
	p.Programs.Keys = []authflow.KeyHash{authflow.HashKey(authflow.NewPartnerKey()), authflow.HashKey(key)}
	a := &authflow.Audience{Partner: p, Host: "kyc.example", Issuer: origin, Session: 15 * time.Minute, TTL: time.Minute}
	a.Seal(s.Secret.Keys("pass"), a.Host)
	s.audiences = append(s.audiences, a)
	s.keys[id] = key
}

// send sends a request with that body, if any, and those header fields.
func (s *service) send(method, target, body string, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(method, origin+target, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r, s.audiences)
	return w
}

type object = map[string]any

func (s *service) post(path, partner string, m object) (int, object) {
	s.t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	return decode(s.t, s.send("POST", path, string(body), "x-api-key", s.keys[partner]))
}

func decode(t testing.TB, w *httptest.ResponseRecorder) (int, object) {
	t.Helper()
	var m object
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
			t.Fatalf("%d with %q: %v", w.Code, w.Body, err)
		}
	}
	return w.Code, m
}

// begin begins a handshake and returns its txnId and code.
func (s *service) begin(partner, mobile, name string, more ...string) (txn, code string) {
	s.t.Helper()
	m := object{"mobile_number": mobile, "full_name": name, "consent": "Y"}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	status, answer := s.post(pathGenerate, partner, m)
	if status != 200 {
		s.t.Fatalf("generateOTP: %d %v", status, answer)
	}
	return answer["txnId"].(string), s.Phone.Last().Code
}

func (s *service) token(partner, mobile, name string, more ...string) string {
	s.t.Helper()
	txn, code := s.begin(partner, mobile, name, more...)
	status, answer := s.post(pathConfirm, partner, object{"txnId": txn, "otp": code})
	if status != 200 {
		s.t.Fatalf("confirmOTP: %d %v", status, answer)
	}
	return answer["token"].(string)
}

func (s *service) status(token string) (int, object) {
	s.t.Helper()
	return decode(s.t, s.send("GET", pathStatus, "", "Authorization", "Bearer "+token))
}

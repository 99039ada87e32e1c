package main

import (
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

//go:embed page.html shop.js shop.css
var files embed.FS

// Shop sells tickets.
type Shop struct {
	Config
	authority *authority
	verifier  *assertion.Verifier
	orders    *orders
	page      *template.Template
	mux       *http.ServeMux
	handler   http.Handler
}

// New opens a shop. It asks the authority for nothing yet.
func New(c Config) (*Shop, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	keys, err := assertion.NewKeySet(assertion.KeySetConfig{URL: c.Authority + "/.kycvs/jwks.json"})
	if err != nil {
		return nil, err
	}
	// Whoever brings an assertion, a browser or the authority itself: it counts if
	// the authority signed it, for this shop, a moment ago.
	verifier, err := assertion.NewVerifier(assertion.VerifierConfig{Keys: keys.Key, Issuer: c.Issuer, Audience: c.Partner})
	if err != nil {
		return nil, err
	}
	page, err := template.ParseFS(files, "page.html")
	if err != nil {
		return nil, err
	}
	s := &Shop{Config: c, authority: newAuthority(c.Authority, c.Key), verifier: verifier, orders: newOrders(), page: page, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /{$}", s.home)
	s.mux.Handle("GET /shop.js", http.FileServerFS(files))
	s.mux.Handle("GET /shop.css", http.FileServerFS(files))
	s.mux.HandleFunc("POST /order", s.order)
	s.mux.HandleFunc("GET /order/{id}", s.show)
	s.mux.HandleFunc("POST /order/{id}/{n}/answer", s.frameAnswer)
	s.mux.HandleFunc("GET /order/{id}/{n}/redirect", s.redirect)
	s.mux.HandleFunc("GET /checked", s.checked)
	s.mux.HandleFunc("POST /order/{id}/{n}/ask", s.ask)
	s.mux.HandleFunc("POST /order/{id}/{n}/confirm", s.confirm)
	s.handler = http.NewCrossOriginProtection().Handler(s.mux)
	return s, nil
}

// ServeHTTP answers a request. The policy shows what a page that holds the frame
// needs: the authority as a source of scripts and of frames, nothing more.
func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self' "+s.Authority+"; frame-src "+s.Authority+
		"; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	s.handler.ServeHTTP(w, r)
}

const sessionCookie = "shop"

// session is the browser's, which it is given if it has none.
func session(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(sessionCookie); err == nil && c.Value != "" {
		return c.Value
	}
	id := rand.Text()
	if w != nil {
		http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode})
	}
	return id
}

// view is what the page shows.
type view struct {
	*Shop
	Order   *order
	Trouble string
}

func (s *Shop) home(w http.ResponseWriter, r *http.Request) {
	session(w, r)
	s.write(w, http.StatusOK, view{Shop: s})
}

func (s *Shop) write(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := s.page.Execute(w, v); err != nil {
		log.Println("shop: a page could not be shown:", err)
	}
}

// order begins a ticket for one to three travellers.
func (s *Shop) order(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	if err := r.ParseForm(); err != nil {
		s.write(w, http.StatusBadRequest, view{Shop: s, Trouble: "The form could not be read."})
		return
	}
	var names []string
	for _, name := range r.PostForm["traveller"] {
		if name = strings.TrimSpace(name); name != "" && len(name) <= 200 {
			names = append(names, name)
		}
	}
	if len(names) < 1 || len(names) > 3 {
		s.write(w, http.StatusBadRequest, view{Shop: s, Trouble: "Enter one to three travellers."})
		return
	}
	o := s.orders.begin(session(w, r), r.PostFormValue("train"), names)
	http.Redirect(w, r, "/order/"+o.ID, http.StatusSeeOther)
}

func (s *Shop) show(w http.ResponseWriter, r *http.Request) {
	s.showOrder(w, r, r.PathValue("id"), nil)
}

// showOrder shows the ticket as it is, and what went wrong.
func (s *Shop) showOrder(w http.ResponseWriter, r *http.Request, id string, err error) {
	status := http.StatusOK
	v := view{Shop: s}
	gone := s.orders.with(session(nil, r), id, 1, func(o *order, _ *traveller) error {
		c := *o // a copy: the page is written without the lock
		c.Travellers = nil
		for _, t := range o.Travellers {
			one := *t
			c.Travellers = append(c.Travellers, &one)
		}
		v.Order = &c
		return nil
	})
	if gone != nil {
		err = gone
	}
	if err != nil {
		status, v.Trouble = http.StatusBadRequest, say(err)
	}
	s.write(w, status, v)
}

// say puts an error into words for the person at the shop.
func say(err error) string {
	var r *refused
	switch {
	case errors.As(err, &r) && r.Message != "":
		return r.Message
	case errors.As(err, &r):
		return "The vaccination service did not accept that (" + r.Code + ")."
	case errors.Is(err, errUsed), errors.Is(err, errSame), errors.Is(err, errGone):
		return strings.ToUpper(err.Error()[:1]) + err.Error()[1:] + "."
	}
	return "That did not work: " + err.Error() + "."
}

func number(r *http.Request) int { n, _ := strconv.Atoi(r.PathValue("n")); return n }

// accept verifies an assertion and takes it for a traveller.
func (s *Shop) accept(r *http.Request, id string, n int, compact string) error {
	claims, err := s.verifier.VerifyContext(r.Context(), compact)
	if err != nil {
		return err
	}
	return s.orders.take(session(nil, r), id, n, claims, time.Now())
}

// frameAnswer takes what the frame handed to the page: the page's script brings
// it here, because only a server that verifies it can believe it.
func (s *Shop) frameAnswer(w http.ResponseWriter, r *http.Request) {
	var in struct{ Nonce, Assertion string }
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&in)
	id, n := r.PathValue("id"), number(r)
	if err == nil {
		err = s.orders.with(session(nil, r), id, n, func(_ *order, t *traveller) error {
			if t.Nonce == "" || in.Nonce != t.Nonce {
				return errGone
			}
			return nil
		})
	}
	if err == nil {
		err = s.accept(r, id, n, in.Assertion)
	}
	if err != nil {
		http.Error(w, say(err), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// redirect sends the traveller to the authority's own pages.
func (s *Shop) redirect(w http.ResponseWriter, r *http.Request) {
	id, n := r.PathValue("id"), number(r)
	state := id + "." + strconv.Itoa(n) + "." + rand.Text()
	err := s.orders.with(session(nil, r), id, n, func(_ *order, t *traveller) error {
		t.state = state
		return nil
	})
	if err != nil {
		s.showOrder(w, r, id, err)
		return
	}
	q := url.Values{"partner": {s.Partner}, "state": {state}, "return": {s.Return()}}
	http.Redirect(w, r, s.Authority+"/start?"+q.Encode(), http.StatusSeeOther)
}

// Return is where the authority leads back to, as it is registered.
func (s *Shop) Return() string { return s.Origin + "/checked" }

// checked is where the redirect comes back to: a state that this browser was
// given, and a code, which this server exchanges for the answer.
func (s *Shop) checked(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	state := q.Get("state")
	id, rest, _ := strings.Cut(state, ".")
	digit, _, _ := strings.Cut(rest, ".")
	n, _ := strconv.Atoi(digit)
	err := s.orders.with(session(nil, r), id, n, func(_ *order, t *traveller) error {
		if t.state == "" || t.state != state {
			return errGone
		}
		t.state = ""
		return nil
	})
	switch {
	case err != nil:
	case q.Get("error") == "access_denied":
		err = errors.New("the check was not made")
	default:
		var a answer
		if a, err = s.authority.redeem(r.Context(), q.Get("code")); err == nil {
			err = s.accept(r, id, n, a.Assertion)
		}
	}
	if err != nil {
		s.showOrder(w, r, id, err)
		return
	}
	http.Redirect(w, r, "/order/"+id, http.StatusSeeOther)
}

// ask has a code sent, from this server to the authority's.
func (s *Shop) ask(w http.ResponseWriter, r *http.Request) {
	id, n := r.PathValue("id"), number(r)
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	var name string
	err := s.orders.with(session(nil, r), id, n, func(_ *order, t *traveller) error { name = t.Name; return nil })
	if err == nil && r.PostFormValue("consent") != "Y" {
		err = errors.New("the traveller's consent is missing")
	}
	if err == nil {
		var txn string
		if txn, err = s.authority.generateOTP(r.Context(), r.PostFormValue("mobile_number"), name, id); err == nil {
			err = s.orders.with(session(nil, r), id, n, func(_ *order, t *traveller) error { t.TxnID = txn; return nil })
		}
	}
	s.back(w, r, id, err)
}

// confirm takes the code, fetches the status with the token and books with it,
// all while the traveller waits.
func (s *Shop) confirm(w http.ResponseWriter, r *http.Request) {
	id, n := r.PathValue("id"), number(r)
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	var txn string
	err := s.orders.with(session(nil, r), id, n, func(_ *order, t *traveller) error { txn = t.TxnID; return nil })
	if err == nil {
		var token string
		var a answer
		if token, err = s.authority.confirmOTP(r.Context(), txn, r.PostFormValue("otp")); err == nil {
			if a, err = s.authority.status(r.Context(), token); err == nil {
				err = s.accept(r, id, n, a.Assertion)
			}
		}
	}
	s.back(w, r, id, err)
}

func (s *Shop) back(w http.ResponseWriter, r *http.Request, id string, err error) {
	if err != nil {
		s.showOrder(w, r, id, err)
		return
	}
	http.Redirect(w, r, "/order/"+url.PathEscape(id), http.StatusSeeOther)
}

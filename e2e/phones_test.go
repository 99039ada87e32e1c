package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// phones are everybody's telephones: the receiving end of `sms http`.
type phones struct {
	url string

	mu       sync.Mutex
	messages []message
	read     map[string]int
	// answer, if set, decides what the provider says.
	answer func(http.ResponseWriter, *http.Request)
}

// message is contract section 6's JSON.
type message struct {
	To      string `json:"to"`
	Message string `json:"message"`
	Code    string `json:"code"`
	TxnID   string `json:"txnId"`
}

func newPhones(t testing.TB) *phones {
	p := &phones{read: map[string]int{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		var m message
		if err := json.Unmarshal(body, &m); err != nil || m.To == "" || m.Code == "" {
			t.Errorf("the provider was sent %q (%v), want section 6's JSON", body, err)
		}
		p.mu.Lock()
		p.messages = append(p.messages, m)
		p.mu.Unlock()
	}))
	t.Cleanup(s.Close)
	p.url = s.URL + "/send"
	return p
}

func (p *phones) answers(f func(http.ResponseWriter, *http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// next is the oldest message to a ten-digit Indian number that was not asked
// for yet; it waits for it.
func (p *phones) next(t testing.TB, mobile string) message {
	t.Helper()
	to := "+91" + mobile
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		mine := slices.DeleteFunc(slices.Clone(p.messages), func(m message) bool { return m.To != to })
		if n := p.read[to]; n < len(mine) {
			p.read[to]++
			p.mu.Unlock()
			return mine[n]
		}
		p.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("no message arrived")
		}
	}
}

// count is how many messages were sent, to anybody.
func (p *phones) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.messages)
}

// wrong is a code that is certainly not c.
func wrong(c string) string {
	b := []byte(c)
	b[0] = '0' + (b[0]-'0'+1)%10
	return string(b)
}

package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// number is a well-formed number that is in no row.
func number(n int) string { return fmt.Sprintf("98111%05d", n) }

func (b *browser) wants(p person, header ...string) *answer {
	b.t.Helper()
	return b.json("/.kycvs/otp", p.typed(), header...)
}

// "codes sent and not (yet) entered; one that is entered is given back", and
// every spelling shares one budget.
func TestCodesPerMobile(t *testing.T) {
	t.Parallel()
	in := start(t, setup{sites: gateSites}) // the default: 5 in 24h
	b := in.browse(t, "https://work.example")
	spellings := []string{"9876543210", "+91 98765-43210", "09876543210", "९८७६५४३२१०", "98765 43210", "0091-9876543210"}
	var txn string
	for i, s := range spellings[:5] {
		one := in.browse(t, "https://work.example")
		if i == 4 {
			one = b
		}
		a := one.wants(person{mobile: s, name: asha.name})
		txn = a.object(t).str("txnId")
		if a.StatusCode != 200 {
			t.Fatalf("%s: %v", s, a)
		}
	}
	for _, s := range spellings {
		b.wants(person{mobile: s, name: asha.name}).refuses(t, 429, "too_many_requests")
	}
	// at another site as well, and another name: the number counts
	in.browse(t, "https://fresh.example").wants(person{mobile: asha.mobile, name: "Somebody Else"}).refuses(t, 429, "too_many_requests")
	if in.sms.count() != 5 {
		t.Errorf("%d messages, want 5", in.sms.count())
	}
	if a := b.wants(vikram); a.StatusCode != 200 {
		t.Errorf("another number: %v", a)
	}
	var code string
	for range 5 {
		code = in.sms.next(t, asha.mobile).Code
	}
	if a := b.verify(txn, code); a.StatusCode != 200 {
		t.Fatalf("entering one: %v", a)
	}
	if a := b.wants(asha); a.StatusCode != 200 {
		t.Errorf("after one was entered: %v", a)
	}
	b.wants(asha).refuses(t, 429, "too_many_requests")
}

func TestCodesPerIP(t *testing.T) {
	t.Parallel()
	in := start(t, setup{
		global: "servers {\n trusted_proxies static 127.0.0.0/8\n}",
		kycvs:  "limits {\n codes_per_ip 2 1h\n}",
		sites:  gateSites,
	})
	b := in.browse(t, "https://work.example")
	n := 0
	ask := func(ip string) *answer {
		n++
		return b.wants(person{mobile: number(n), name: "Some Body"}, "X-Forwarded-For", ip)
	}
	for name, ips := range map[string][]string{
		"IPv4":            {"192.0.2.1", "192.0.2.1", "192.0.2.1"},
		"IPv6 by /64":     {"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"},
		"IPv4 in IPv6":    {"198.51.100.1", "::ffff:198.51.100.1", "198.51.100.1"},
		"one more spaced": {"203.0.113.9", "203.0.113.9", "203.0.113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, ip := range ips[:2] {
				if a := ask(ip); a.StatusCode != 200 {
					t.Fatalf("%s: %v", ip, a)
				}
			}
			ask(ips[2]).refuses(t, 429, "too_many_requests")
		})
	}
	if a := ask("192.0.2.2"); a.StatusCode != 200 {
		t.Errorf("a neighbour: %v", a)
	}
	if a := ask("2001:db8:0:1::1"); a.StatusCode != 200 {
		t.Errorf("the next /64: %v", a)
	}
	// what is entered is given back
	for range 4 {
		a := b.wants(asha, "X-Forwarded-For", "192.0.2.77")
		if a.StatusCode != 200 {
			t.Fatalf("got %v", a)
		}
		if v := b.verify(a.object(t).str("txnId"), in.sms.next(t, asha.mobile).Code); v.StatusCode != 200 {
			t.Fatalf("got %v", v)
		}
	}
}

// Without a trusted proxy, what a client says of its address counts for nothing.
func TestForwardedForIsNotBelieved(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "limits {\n codes_per_ip 2 1h\n}", sites: gateSites})
	for i := range 3 {
		a := in.browse(t, "https://work.example").wants(person{mobile: number(i), name: "Some Body"}, "X-Forwarded-For", fmt.Sprint("192.0.2.", i), "X-Real-IP", fmt.Sprint("192.0.2.", i),
			"Forwarded", fmt.Sprint("for=192.0.2.", i))
		if want := []int{200, 200, 429}[i]; a.StatusCode != want {
			t.Errorf("code %d: %v, want %d", i+1, a, want)
		}
	}
}

func TestCodesTotal(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "limits {\n codes_total 3 2s\n}", sites: gateSites})
	for i := range 3 {
		if a := in.browse(t, "https://work.example").wants(person{mobile: number(i), name: "Some Body"}); a.StatusCode != 200 {
			t.Fatalf("got %v", a)
		}
	}
	b := in.browse(t, "https://fresh.example")
	a := b.wants(asha)
	if a.StatusCode == 429 {
		a.refuses(t, 429, "too_many_requests")
		wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if err != nil || wait < 1 || wait > 2 {
			t.Fatalf("Retry-After %q, want at most 2", a.Header.Get("Retry-After"))
		}
		time.Sleep(time.Duration(wait) * time.Second)
	} else {
		t.Errorf("the fourth: %v, want 429", a)
	}
	if a := b.wants(asha); a.StatusCode != 200 {
		t.Errorf("after Retry-After: %v", a)
	}
}

func TestCountries(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "limits {\n countries 91 977\n}", sites: gateSites})
	b := in.browse(t, "https://work.example")
	for number, want := range map[string]int{"9876543210": 200, "+977 984-1234567": 200, "+94 71 234 5678": 400, "+44 7400 123456": 400} {
		if a := b.wants(person{mobile: number, name: "Some Body"}); a.StatusCode != want {
			t.Errorf("%s: %v, want %d", number, a, want)
		}
	}
}

// Resending: not too early, the new code instead of the old one, the tries as
// before.
func TestResend(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "otp {\n resend_after 5s\n}", sites: gateSites})
	b := in.browse(t, "https://work.example")
	txn, code := b.ask(asha)
	asked := time.Now()
	b.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
	early := b.json("/.kycvs/otp", fields{"txnId": txn})
	early.refuses(t, http.StatusTooManyRequests, "too_many_requests")
	if wait, err := strconv.Atoi(early.Header.Get("Retry-After")); err != nil || wait < 1 || wait > 5 {
		t.Errorf("Retry-After %q", early.Header.Get("Retry-After"))
	}
	if in.sms.count() != 1 {
		t.Errorf("%d messages, want 1", in.sms.count())
	}
	time.Sleep(time.Until(asked.Add(5 * time.Second)))
	a := b.json("/.kycvs/otp", fields{"txnId": txn})
	if a.StatusCode != 200 {
		t.Fatalf("got %v", a)
	}
	m := a.object(t)
	if m.str("txnId") != txn || m.num(t, "attempts_left") != 2 || m.num(t, "resend_after") != 10 {
		t.Errorf("got %v, want the same txnId, 2 attempts left, 10 seconds", m)
	}
	fresh := in.sms.next(t, asha.mobile)
	if fresh.TxnID != txn {
		t.Errorf("the second message is for %s", fresh.TxnID)
	}
	if fresh.Code == code {
		t.Skip("one in a million: both codes are the same")
	}
	if m := b.verify(txn, code).refuses(t, 401, "otp_invalid"); m.num(t, "attempts_left") != 1 {
		t.Errorf("the old code: %v", m)
	}
	if a := b.verify(txn, fresh.Code); a.StatusCode != 200 {
		t.Errorf("the new code: %v", a)
	}
	b.json("/.kycvs/otp", fields{"txnId": txn}).refuses(t, 401, "txn_unknown") // it is spent
}

// A code's life ends; whoever is late is told so and spends no try.
func TestCodeExpires(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "otp {\n lifetime 30s\n resend_after 5s\n}", sites: gateSites})
	b := in.browse(t, "https://work.example")
	txn, code := b.ask(asha)
	time.Sleep(30500 * time.Millisecond)
	b.verify(txn, code).refuses(t, 401, "otp_expired")
	a := b.json("/.kycvs/otp", fields{"txnId": txn})
	if a.StatusCode != 200 || a.object(t).num(t, "attempts_left") != 3 {
		t.Fatalf("another code: %v", a)
	}
	if a := b.verify(txn, in.sms.next(t, asha.mobile).Code); a.StatusCode != 200 {
		t.Errorf("the new code: %v", a)
	}
}

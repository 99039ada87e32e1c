package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// number is a well-formed number that is in no row.
func number(n int) string { return fmt.Sprintf("98111%05d", n) }

// wants asks for a code and returns the answer, whichever it is.
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
	in.browse(t, "https://work.example").wants(asha).refuses(t, 429, "too_many_requests")
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

// faked makes the instance believe what a client says of its address, so that a
// test can come from many.
const faked = "metrics\nservers {\n trusted_proxies static 127.0.0.0/8\n}"

// limited is how often a limit was reached, by what became of it.
func (in *instance) limited(t testing.TB, limit, action string) float64 {
	t.Helper()
	return in.metric(t, "caddy_kycvs_limits_total", fmt.Sprintf("action=%q,limit=%q", action, limit))
}

// from is an address that no other test's asker has.
func from(n int) []string { return []string{"X-Forwarded-For", fmt.Sprintf("192.0.2.%d", n)} }

// latest is the newest message to a number; it waits for one.
func (p *phones) latest(t testing.TB, to string) (m message) {
	t.Helper()
	eventually(t, "a message arrives", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, sent := range p.messages {
			if sent.To == to {
				m = sent
			}
		}
		return m.To != ""
	})
	return m
}

// A new handshake, a resend, another spelling, another site, another browser and
// another address are all the same number.
func TestCodesPerMobileIsNotWalkedAround(t *testing.T) {
	t.Parallel()
	in := start(t, setup{global: faked, kycvs: "otp {\n resend_after 5s\n}\nlimits {\n codes_per_mobile 3 24h\n}", sites: gateSites})
	b := in.browse(t, "https://work.example")
	txn, _ := b.ask(asha)
	asked := time.Now()
	in.browse(t, "https://fresh.example").ask(asha)
	if a := in.browse(t, "https://short.example").wants(person{mobile: "+91 (98765) 43210", name: "Another Name"}, from(1)...); a.StatusCode != 200 {
		t.Fatal(a)
	}
	time.Sleep(time.Until(asked.Add(5100 * time.Millisecond)))
	for what, a := range map[string]*answer{
		"a resend":        b.json("/.kycvs/otp", fields{"txnId": txn}),
		"a new handshake": b.wants(asha),
		"a new browser":   in.browse(t, "https://work.example").wants(asha),
		"another site":    in.browse(t, "https://fresh.example").wants(asha),
		"another address": in.browse(t, "https://work.example").wants(asha, from(2)...),
		"another script":  in.browse(t, "https://work.example").wants(person{mobile: "९८७६५४३२१०", name: asha.name}),
	} {
		a.refuses(t, 429, "too_many_requests")
		if wait, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || wait < 86000 || wait > 86400 {
			t.Errorf("%s: Retry-After %q, want a day", what, a.Header.Get("Retry-After"))
		}
		if detail := a.object(t).str("detail"); !strings.HasSuffix(detail, " Please wait 24 hours. Then try again.") {
			t.Errorf("%s: says %q", what, detail)
		}
	}
	if in.sms.count() != 3 {
		t.Errorf("%d messages, want 3", in.sms.count())
	}
	if n := in.limited(t, "codes_per_mobile", "refused"); n != 6 {
		t.Errorf("the metric says %v, want 6", n)
	}
}

// Who fills the store makes nothing forgotten: those who come then are told to
// come again, and a larger bound makes room without losing anything.
func TestLimitsOutliveAFlood(t *testing.T) {
	t.Parallel()
	with := func(counters int) setup {
		return setup{global: faked, kycvs: fmt.Sprintf("state memory {\n max_counters %d\n}\nlimits {\n codes_per_mobile 2 24h\n codes_per_ip 100000 1h\n codes_total 100000 1h\n}", counters), sites: gateSites}
	}
	in := start(t, with(100))
	b := in.browse(t, "https://work.example")
	b.ask(asha)
	txn, code := b.ask(asha)
	b.wants(asha).refuses(t, 429, "too_many_requests")

	flood := in.browse(t, "https://work.example")
	full := 0
	for i := range 130 {
		switch a := flood.wants(person{mobile: number(i), name: "Some Body"}); a.StatusCode {
		case 200:
			if full > 0 {
				t.Errorf("there was room again: something was forgotten")
			}
		default:
			a.refuses(t, 503, "unavailable")
			full++
		}
	}
	if full < 20 {
		t.Fatalf("%d of 130 were refused by a store of 100 counters", full)
	}
	sent := in.sms.count()
	for range 3 {
		in.browse(t, "https://work.example").wants(asha).refuses(t, 429, "too_many_requests")
		in.browse(t, "https://fresh.example").wants(vikram).refuses(t, 503, "unavailable")
	}
	// a guess that cannot be counted is not compared, not even the right one
	b.verify(txn, wrong(code)).refuses(t, 503, "unavailable")
	b.verify(txn, code).refuses(t, 503, "unavailable")
	if b.pass() != "" && b.fetch("/ward/x").StatusCode != 401 {
		t.Error("a full store lets somebody through")
	}
	if in.sms.count() != sent {
		t.Error("a full store sends messages")
	}

	in.reload(with(200))
	in.browse(t, "https://work.example").wants(asha).refuses(t, 429, "too_many_requests")
	if a := in.browse(t, "https://work.example").wants(vikram); a.StatusCode != 200 {
		t.Errorf("with a larger bound: %v", a)
	}
	if a := b.verify(txn, code); a.StatusCode != 200 {
		t.Errorf("the handshake under way: %v", a)
	}
	in.reload(with(100))
	in.browse(t, "https://work.example").wants(meera).refuses(t, 503, "unavailable")
}

// The same for handshakes under way.
func TestFullOfHandshakes(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "state memory {\n max_handshakes 100\n}\nlimits {\n codes_per_ip 100000 1h\n codes_per_mobile 1 24h\n}", sites: gateSites})
	b := in.browse(t, "https://work.example")
	txn, code := b.ask(asha)
	for i := range 99 {
		if a := b.wants(person{mobile: number(i), name: "Some Body"}); a.StatusCode != 200 {
			t.Fatalf("handshake %d: %v", i+2, a)
		}
	}
	sent := in.sms.count()
	in.browse(t, "https://fresh.example").wants(vikram).refuses(t, 503, "unavailable")
	if in.sms.count() != sent {
		t.Error("a message was sent")
	}
	if a := b.verify(txn, code); a.StatusCode != 200 {
		t.Fatalf("one that was under way: %v", a)
	}
	// there is room for one, and the refused one was given back
	if a := in.browse(t, "https://fresh.example").wants(vikram); a.StatusCode != 200 {
		t.Errorf("when one had ended: %v", a)
	}
}

// Every rule that can record only: it lets through what it would refuse, and the
// metric says how much that is.
func TestRecordOnly(t *testing.T) {
	t.Parallel()
	const only = `limits {
	codes_per_mobile 1 24h record_only
	codes_per_ip 1 1h record_only
	codes_total 1 1m record_only
	unentered_per_ip 50% 1 1h record_only
	unentered_per_prefix 50% 1 1h record_only
	countries 91 record_only
	number_types mobile record_only
}`
	in := start(t, setup{global: faked, kycvs: only, sites: gateSites, people: people + "+9779841234567,Nima Sherpa,COVAXIN,1,2,2021-05-01,1990,20000000000001,completed\n"})
	b := in.browse(t, "https://work.example")
	for range 3 {
		if a := b.wants(asha); a.StatusCode != 200 {
			t.Fatalf("got %v", a)
		}
	}
	for _, limit := range []string{"codes_per_mobile", "codes_per_ip", "codes_total", "unentered_per_ip", "unentered_per_prefix"} {
		if n := in.limited(t, limit, "recorded"); n != 2 {
			t.Errorf("%s: recorded %v, want 2", limit, n)
		}
	}
	for _, limit := range []string{"countries", "number_types"} {
		if n := in.limited(t, limit, "recorded"); n != 0 {
			t.Errorf("%s: recorded %v of numbers that are taken", limit, n)
		}
	}
	nima := person{mobile: "+977 984-1234567", name: "Nima Sherpa", status: 1}
	a := b.wants(nima)
	if a.StatusCode != 200 {
		t.Fatalf("a country that records only: %v", a)
	}
	if n := in.limited(t, "countries", "recorded"); n != 1 {
		t.Errorf("countries: recorded %v, want 1", n)
	}
	if v := b.verify(a.object(t).str("txnId"), in.sms.latest(t, "+9779841234567").Code); v.StatusCode != 200 {
		t.Errorf("whoever has such a number is not found: %v", v)
	}
	if a := b.wants(person{mobile: "+1 201 555 0123", name: "Some Body"}); a.StatusCode != 200 {
		t.Fatalf("a type that records only: %v", a)
	}
	if n := in.limited(t, "number_types", "recorded"); n != 1 {
		t.Errorf("number_types: recorded %v, want 1", n)
	}
	for _, limit := range []string{"codes_per_mobile", "codes_per_ip", "codes_total", "unentered_per_ip", "unentered_per_prefix", "countries", "number_types"} {
		if n := in.limited(t, limit, "refused"); n != 0 {
			t.Errorf("%s: refused %v", limit, n)
		}
	}
	// the same in earnest: what was counted meanwhile counts
	s := in.setup
	s.kycvs = strings.ReplaceAll(only, " record_only", "")
	in.reload(s)
	b.wants(asha).refuses(t, 429, "too_many_requests")
	b.wants(nima).refuses(t, 400, "mobile_invalid")
	if n := in.limited(t, "countries", "refused"); n < 1 {
		t.Errorf("countries: refused %v", n)
	}
}

// wrong_per_mobile cannot record only, and says why.
func TestWrongPerMobileIsInEarnest(t *testing.T) {
	t.Parallel()
	in := prepare(t, setup{kycvs: "limits {\n wrong_per_mobile 15 24h record_only\n}", sites: gateSites})
	for _, args := range [][]string{{"adapt", "--config", in.caddyfile, "--adapter", "caddyfile"}, {"validate", "--config", in.caddyfile, "--adapter", "caddyfile"}} {
		out, err := in.command(args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "it is what keeps guesses at codes out") || !strings.Contains(string(out), "Caddyfile:") {
			t.Errorf("%s: %v\n%s", args[0], err, out)
		}
	}
}

// Who orders codes and never enters them is refused by their address, IPv6 by
// /64; who enters them is not, and neither are others.
func TestUnenteredPerIP(t *testing.T) {
	t.Parallel()
	in := start(t, setup{global: faked, kycvs: "limits {\n codes_per_ip 1000 1h\n unentered_per_ip 50% 4 1h\n}", sites: gateSites})
	n := 0
	ask := func(ip string) *answer {
		n++
		site := []string{"https://work.example", "https://fresh.example"}[n%2]
		return in.browse(t, site).wants(person{mobile: number(n * 10000 % 100000), name: "Some Body"}, "X-Forwarded-For", ip)
	}
	for _, ips := range [][]string{
		{"192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"2001:db8::1", "2001:db8::2", "2001:db8::a:b", "2001:db8:0:0:ffff::", "2001:db8::5"},
	} {
		for i, ip := range ips {
			a := ask(ip)
			if i < 4 && a.StatusCode != 200 {
				t.Fatalf("code %d for %s: %v", i+1, ip, a)
			}
			if i == 4 {
				a.refuses(t, 429, "too_many_requests")
			}
		}
	}
	for _, ip := range []string{"192.0.2.2", "2001:db8:0:1::1"} {
		if a := ask(ip); a.StatusCode != 200 {
			t.Errorf("a neighbour, %s: %v", ip, a)
		}
	}
	if got := in.limited(t, "unentered_per_ip", "refused"); got != 2 {
		t.Errorf("the metric says %v, want 2", got)
	}
	// a mall's own network: everybody enters the code
	for range 12 {
		b := in.browse(t, "https://work.example")
		a := b.wants(asha, from(77)...)
		if a.StatusCode != 200 {
			t.Fatalf("an honest one: %v", a)
		}
		if v := b.verify(a.object(t).str("txnId"), in.sms.next(t, asha.mobile).Code); v.StatusCode != 200 {
			t.Fatalf("an honest one: %v", v)
		}
	}
	// and some who do not are not too many
	for i := range 6 {
		if a := in.browse(t, "https://work.example").wants(person{mobile: number(i), name: "Some Body"}, from(77)...); a.StatusCode != 200 {
			t.Errorf("one who gave up, %d: %v", i, a)
		}
	}
}

// Numbers that were bought together differ in their last digits: wherever the
// codes are asked for from, the block is refused, and nobody beside it.
func TestUnenteredPerPrefix(t *testing.T) {
	t.Parallel()
	in := start(t, setup{global: faked, kycvs: "limits {\n codes_per_mobile 50 24h\n unentered_per_prefix 50% 4 1h\n}", sites: gateSites})
	ask := func(mobile string, ip int) *answer {
		return in.browse(t, "https://work.example").wants(person{mobile: mobile, name: "Some Body"}, from(ip)...)
	}
	for i := range 4 {
		if a := ask(number(i), i); a.StatusCode != 200 {
			t.Fatalf("number %d: %v", i, a)
		}
	}
	ask(number(4), 4).refuses(t, 429, "too_many_requests")
	ask("+91 98111-09999", 5).refuses(t, 429, "too_many_requests")
	if got := in.limited(t, "unentered_per_prefix", "refused"); got != 2 {
		t.Errorf("the metric says %v, want 2", got)
	}
	if a := ask(number(10000), 6); a.StatusCode != 200 {
		t.Errorf("the next block: %v", a)
	}
	// six people of one block who enter their codes, and one who does not
	for i, p := range []person{asha, asha, asha, asha, asha, asha} {
		b := in.browse(t, "https://work.example")
		a := b.wants(p, from(10+i)...)
		if a.StatusCode != 200 {
			t.Fatalf("an honest one: %v", a)
		}
		if v := b.verify(a.object(t).str("txnId"), in.sms.next(t, p.mobile).Code); v.StatusCode != 200 {
			t.Fatalf("an honest one: %v", v)
		}
	}
	for range 2 {
		if a := ask("9876543999", 20); a.StatusCode != 200 {
			t.Errorf("one who gave up: %v", a)
		}
	}
}

// North America's numbers do not say whether they are mobile.
func TestNumberTypes(t *testing.T) {
	t.Parallel()
	with := func(types string) setup {
		return setup{global: faked, kycvs: "limits {\n countries 91 1\n " + types + "\n}", sites: gateSites}
	}
	in := start(t, with(""))
	american := person{mobile: "+1 201-555-0123", name: "Some Body"}
	for _, c := range []struct {
		types string
		want  int
	}{
		{"", 200},
		{"number_types mobile", 400},
		{"number_types mobile unknown", 400},
		{"number_types mobile fixed_line_or_mobile", 200},
		{"number_types mobile record_only", 200},
	} {
		in.reload(with(c.types))
		b := in.browse(t, "https://work.example")
		if a := b.wants(asha); a.StatusCode != 200 {
			t.Errorf("%q: a mobile number: %v", c.types, a)
		}
		a := b.wants(american)
		if a.StatusCode != c.want {
			t.Errorf("%q: %v, want %d", c.types, a, c.want)
		}
		if c.want == 400 {
			a.refuses(t, 400, "mobile_invalid")
		}
		b.wants(person{mobile: "+44 7400 123456", name: "Some Body"}).refuses(t, 400, "mobile_invalid")
	}
	if n := in.limited(t, "number_types", "refused"); n < 2 {
		t.Errorf("number_types: refused %v, want 2", n)
	}
	if n := in.limited(t, "number_types", "recorded"); n != 1 {
		t.Errorf("number_types: recorded %v, want 1", n)
	}
}

// "A victim whose number is under attack can still finish from a browser that has
// verified before."
func TestAVictimFinishes(t *testing.T) {
	t.Parallel()
	in := start(t, setup{global: faked, sites: gateSites}) // the defaults: 5 codes, 15 wrong ones
	victim := in.browse(t, "https://short.example")        // a session of two seconds
	victim.signIn(asha)
	signedIn := time.Now()
	regretful := in.browse(t, "https://work.example")
	regretful.signIn(asha)

	attacker := in.browse(t, "https://short.example")
	attacker.signIn(vikram) // has proven a number, though not this one
	var open string
	for i := range 5 {
		txn, code := attacker.ask(asha)
		for range 3 - i/4 { // of the last handshake one try stays
			attacker.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
		}
		open = txn
	}
	attacker.wants(asha).refuses(t, 429, "too_many_requests")
	in.browse(t, "https://short.example").wants(asha).refuses(t, 429, "too_many_requests")

	time.Sleep(time.Until(signedIn.Add(3 * time.Second)))
	if a := victim.fetch("/x"); a.StatusCode != 401 {
		t.Fatalf("the victim's pass still counts: %v", a)
	}
	txn, code := victim.ask(asha)
	if a := victim.verify(txn, code); a.StatusCode != 200 {
		t.Fatalf("the victim cannot finish: %v", a)
	}
	if a := victim.fetch("/x"); a.StatusCode != 200 {
		t.Errorf("the victim does not get in: %v", a)
	}

	// nothing of that is the attacker's to use, and nothing was cleared for them
	attacker.wants(asha).refuses(t, 429, "too_many_requests")
	attacker.verify(open, code).refuses(t, 401, "otp_invalid") // the fifteenth wrong one
	in.browse(t, "https://work.example").wants(asha).refuses(t, 429, "too_many_requests")

	// what the browser keeps is gone with the consent
	if a := regretful.wants(asha); a.StatusCode != 200 {
		t.Errorf("a browser that has verified before: %v", a)
	}
	if a := regretful.json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Fatal(a)
	}
	regretful.wants(asha).refuses(t, 429, "too_many_requests")

	// the browser that is known has one code under way at a time
	if a := victim.wants(asha); a.StatusCode != 200 {
		t.Fatal(a)
	}
	victim.wants(asha).refuses(t, 429, "too_many_requests")
}

// Wrong codes are counted for the number over every handshake and site; the
// browser that has proven it has a count of its own.
func TestAVictimOfGuessing(t *testing.T) {
	t.Parallel()
	in := start(t, setup{kycvs: "limits {\n codes_per_mobile 100 24h\n wrong_per_mobile 4 24h\n}", sites: gateSites})
	victim := in.browse(t, "https://work.example")
	victim.signIn(asha)
	first, second := in.browse(t, "https://work.example"), in.browse(t, "https://fresh.example")
	txn, code := first.ask(asha)
	for range 3 {
		first.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
	}
	txn, code = second.ask(asha)
	second.verify(txn, wrong(code)).refuses(t, 401, "otp_invalid")
	second.verify(txn, code).refuses(t, 429, "too_many_requests") // not compared
	txn, code = victim.ask(asha)
	if a := victim.verify(txn, code); a.StatusCode != 200 {
		t.Errorf("the victim cannot finish: %v", a)
	}
	txn, code = first.ask(asha)
	first.verify(txn, code).refuses(t, 429, "too_many_requests") // the victim's right code cleared the victim's count alone
}

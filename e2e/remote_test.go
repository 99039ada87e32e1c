package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
)

const mallSite = "http://mall.example"

// startAuthority starts the authority that remote gates of the tests ask. Its site
// is this machine by name, so that they reach it over plain http.
func startAuthority(t testing.TB, change func(*setup)) *instance {
	t.Helper()
	s := setup{kycvs: plenty + partners, sites: "http://localhost {\n kycvs_authority\n}\n"}
	if change != nil {
		change(&s)
	}
	return start(t, s)
}

func (in *instance) asAuthority(partner, key string) string {
	return fmt.Sprintf("authority http://localhost:%d {\n partner %s\n key %s\n follow_every 1s\n}", in.httpPort, partner, key)
}

// remoteSetup is a gate's far from the registry.
func remoteSetup(there *instance) setup {
	return setup{
		registry: there.asAuthority("mall", "{env.KYCVS_KEY}"),
		sender:   "ledger file %DIR%/consents",
		env:      []string{"KYCVS_KEY=" + mallKey},
		kycvs:    "limits {\n codes_per_mobile 100 1h\n}\npartner mall {\n name \"Phoenix Mall\"\n purpose \"Entry to the mall\"\n}",
		people:   "none",
		sites:    mallSite + " {\n kycvs 1\n reverse_proxy %UP%\n}\n",
		sms:      there.sms,
		second:   true,
	}
}

// TestRemoteGate walks through a gate that has no registry: by JSON and by forms,
// with a code that the authority sends and an answer that it signed.
func TestRemoteGate(t *testing.T) {
	t.Parallel()
	there := startAuthority(t, nil)
	here := start(t, remoteSetup(there))
	origin := fmt.Sprintf("http://localhost:%d", there.httpPort)

	subjects := map[string]bool{}
	for _, who := range []person{asha, vikram, meera} {
		b := here.browse(t, mallSite)
		m := b.signIn(who)
		c := check(t, b.keys(), m.str("assertion"), "mall")
		if c.Authority != origin || c.Purpose != "Entry to the mall" || c.Iss == origin || *c.Status != who.status {
			t.Errorf("%s: %+v", who.name, c)
		}
		subjects[c.Sub] = true
		want := http.StatusOK
		if who.status < 1 {
			want = http.StatusForbidden
		}
		if a := b.fetch("/shops"); a.StatusCode != want {
			t.Errorf("%s: %v", who.name, a)
		}
	}
	if len(subjects) != 3 {
		t.Errorf("three people are %d subjects", len(subjects))
	}
	direct := there.program(t, mallKey).at("http://localhost")
	p := &program{direct, mallKey}
	a := p.status(p.token(asha))
	if c := check(t, direct.keys(), a.object(t).str("assertion"), "mall"); !subjects[c.Sub] || c.Authority != "" {
		t.Errorf("at the authority, the same person is %+v", c)
	}

	// by forms, without JavaScript
	b := here.browse(t, mallSite)
	a = b.navigate("/shops?x=1")
	if a.StatusCode != http.StatusSeeOther {
		t.Fatal(a)
	}
	form := b.navigate(a.Header.Get("Location")).formWith(t, "mobile_number")
	a = b.submit(form, "mobile_number", asha.mobile, "full_name", asha.name, "consent", "Y")
	if a.StatusCode != http.StatusOK {
		t.Fatal(a)
	}
	code := here.sms.next(t, asha.mobile)
	if !strings.Contains(code.Message, "Phoenix Mall") {
		t.Errorf("the message is %q", code.Message)
	}
	wrong := "111111"
	if code.Code == wrong {
		wrong = "222222"
	}
	a = b.submit(a.formWith(t, "otp"), "otp", wrong)
	if a.StatusCode != http.StatusUnauthorized {
		t.Fatal(a)
	}
	a = b.submit(a.formWith(t, "otp"), "otp", code.Code)
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/shops?x=1" {
		t.Fatal(a)
	}

	// what the authority says no to
	b = here.browse(t, mallSite)
	txn, sent := b.ask(nobody)
	b.verify(txn, sent).refuses(t, 403, "no_record")
	txn, sent = b.ask(elder)
	if m := b.verify(txn, sent).refuses(t, 403, "ambiguous"); m.str("need") != "birth_year" {
		t.Errorf("need %v", m)
	}
	if a := b.json("/.kycvs/verify", fields{"txnId": txn, "birth_year": "1950"}); a.StatusCode != 200 || a.object(t).num(t, "vaccination_status") != 2 {
		t.Errorf("with a birth year: %v", a)
	}
	txn, _ = b.ask(joseph)
	for range 3 {
		b.verify(txn, "000000")
	}
	b.verify(txn, "000000").refuses(t, 401, "otp_attempts")
	b.json("/.kycvs/otp", fields{"txnId": txn}).refuses(t, 401, "otp_attempts")

	// one's own record is with the authority
	own := b.fetch("/.kycvs/consents").refuses(t, 404, "at_authority")
	if own.str("start") != origin+"/.kycvs/consents" {
		t.Errorf("one's own record is at %v", own)
	}
	b.json("/.kycvs/consents/otp", fields{"mobile_number": asha.mobile}).refuses(t, 404, "at_authority")
	if a := b.navigate("/.kycvs/consents"); a.StatusCode != 303 || a.Header.Get("Location") != origin+"/.kycvs/consents" {
		t.Errorf("the page: %v", a)
	}

	for _, log := range []string{here.log.String(), there.log.String()} {
		for _, secret := range []string{mallKey, asha.mobile, "Asha"} {
			if strings.Contains(log, secret) {
				t.Errorf("a log has %q", secret)
			}
		}
	}
	if code, body := here.adminGet("/kycvs/ready"); code != 200 {
		t.Errorf("ready: %d %s", code, body)
	}
}

// TestRemoteWithdrawals holds that a withdrawal made on either side is known on the
// other.
func TestRemoteWithdrawals(t *testing.T) {
	t.Parallel()
	there := startAuthority(t, nil)
	s := remoteSetup(there)
	s.home = newHome(t)
	here := start(t, s)

	// at the authority, by the person
	b := here.browse(t, mallSite)
	consent := check(t, b.keys(), b.signIn(asha).str("assertion"), "mall").Consent
	self := there.browse(t, "http://localhost")
	self.prove(asha)
	_, list := self.ownRecord()
	if len(list) != 1 || list[0].str("consent") != consent {
		t.Fatalf("the authority's record has %v, want %s", list, consent)
	}
	until, err := time.Parse(time.RFC3339, list[0].str("until"))
	if err != nil || time.Until(until) < 11*time.Hour {
		t.Errorf("the authority takes the consent to end at %v (%v): a pass of the gate's lasts 12 hours", until, err)
	}
	self.own("end", fields{"consent": consent})
	eventually(t, "the gate knows of the withdrawal", func() bool { return b.fetch("/shops").StatusCode == 401 })

	// at the gate, while the authority is away
	b = here.browse(t, mallSite)
	token := b.signIn(vikram).str("assertion")
	consent = check(t, b.keys(), token, "mall").Consent
	there.kill()
	if a := b.json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Fatalf("withdrawing while the authority is away: %v", a)
	}
	if a := b.fetch("/shops"); a.StatusCode != 401 {
		t.Errorf("the pass counts on: %v", a)
	}
	here.kill() // before it could tell
	there.run()
	here.run()
	p := &program{there.program(t, mallKey).at("http://localhost"), mallKey}
	eventually(t, "the authority knows of the withdrawal", func() bool {
		a := p.get("/api/v3/consent/withdrawn?since=2020-01-01T00:00:00Z")
		return a.StatusCode == 200 && strings.Contains(string(a.body), consent)
	})
}

// TestRemoteAuthorityAway holds that without the authority nobody new gets in,
// whoever has a pass does, and that it is used again when it is back.
func TestRemoteAuthorityAway(t *testing.T) {
	t.Parallel()
	there := startAuthority(t, nil)
	here := start(t, remoteSetup(there))
	b := here.browse(t, mallSite)
	b.signIn(asha)
	late := here.browse(t, mallSite)
	txn, code := late.ask(vikram)

	there.kill()
	for range 8 { // the breaker among them
		here.browse(t, mallSite).json("/.kycvs/otp", joseph.typed()).refuses(t, 503, "unavailable")
	}
	late.verify(txn, code).refuses(t, 503, "unavailable")
	page := here.browse(t, mallSite)
	form := page.navigate("/.kycvs/").formWith(t, "mobile_number")
	if a := page.submit(form, "mobile_number", joseph.mobile, "full_name", joseph.name, "consent", "Y"); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("the page: %v", a)
	}
	for range 3 {
		if a := b.fetch("/shops"); a.StatusCode != 200 {
			t.Fatalf("whoever has a pass: %v", a)
		}
	}
	if a := b.fetch("/.kycvs/pass"); a.StatusCode != 200 {
		t.Errorf("the pass: %v", a)
	}
	if code, body := here.adminGet("/kycvs/ready"); code != 503 || !strings.Contains(body, `"authority"`) {
		t.Errorf("ready: %d %s", code, body)
	}

	there.run()
	eventually(t, "the authority is used again", func() bool {
		return here.browse(t, mallSite).json("/.kycvs/otp", joseph.typed()).StatusCode == 200
	})
	// its state was in memory: a handshake begun before has gone
	late.verify(txn, code).refuses(t, 401, "txn_unknown")
	late.signIn(vikram)
}

// TestRemoteKeyRefused holds that a wrong key is no answer, and that the operator,
// not the person, is told.
func TestRemoteKeyRefused(t *testing.T) {
	t.Parallel()
	there := startAuthority(t, nil)
	s := remoteSetup(there)
	s.env = []string{"KYCVS_KEY=kp_nobody-nobody-nobody-nobody-nobody-nobody-n"}
	here := start(t, s)
	a := here.browse(t, mallSite).json("/.kycvs/otp", asha.typed())
	a.refuses(t, 503, "unavailable")
	if strings.Contains(string(a.body), "key") {
		t.Errorf("the person is told: %s", a.body)
	}
	eventually(t, "the log says so", func() bool { return strings.Contains(here.log.String(), "refuses the key") })

	// a key of another partner's: what it answers is not for the mall
	s.env = []string{"KYCVS_KEY=" + cowinKey}
	here = start(t, s)
	b := here.browse(t, mallSite)
	txn, code := b.ask(asha)
	b.verify(txn, code).refuses(t, 503, "unavailable")
	if a := b.fetch("/shops"); a.StatusCode != 401 {
		t.Errorf("in with another partner's answer: %v", a)
	}
}

// TestRemoteFleet holds that remote gates that share a state are one: a handshake
// begun at one goes on at the other, with three tries in all, and a withdrawal at one
// counts at both.
func TestRemoteFleet(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t).URL()
	there := startAuthority(t, nil)
	var gates []*instance
	for range 2 {
		s := remoteSetup(there)
		s.kycvs += "\nstate redis " + redis + "\nissuer " + mallSite
		s.global = "storage file_system " + there.home.data + "/shared"
		gates = append(gates, start(t, s))
	}
	b := gates[0].browse(t, mallSite)
	other := func(b *browser) *browser { // the same browser, led to the other gate
		c := gates[1].browse(t, mallSite)
		from, _ := url.Parse(b.base)
		to, _ := url.Parse(c.base)
		c.jar.SetCookies(to, b.jar.Cookies(from))
		return c
	}
	txn, code := b.ask(asha)
	wrong := "111111"
	if code == wrong {
		wrong = "222222"
	}
	b.verify(txn, wrong).refuses(t, 401, "otp_invalid")
	if m := other(b).verify(txn, wrong).refuses(t, 401, "otp_invalid"); m.num(t, "attempts_left") != 1 {
		t.Errorf("after two wrong codes: %v", m)
	}
	second := other(b)
	if a := second.verify(txn, code); a.StatusCode != 200 {
		t.Fatal(a)
	}
	first := gates[0].browse(t, mallSite)
	from, _ := url.Parse(second.base)
	to, _ := url.Parse(first.base)
	first.jar.SetCookies(to, second.jar.Cookies(from))
	if a := first.fetch("/shops"); a.StatusCode != 200 {
		t.Fatalf("the pass at the other gate: %v", a)
	}
	if a := second.json("/.kycvs/withdraw", fields{}); a.StatusCode != 204 {
		t.Fatal(a)
	}
	eventually(t, "the other gate knows", func() bool { return first.fetch("/shops").StatusCode == 401 })
}

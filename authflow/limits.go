package authflow

import (
	"context"
	"errors"
	"slices"

	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/registry"
)

// charged names the counters of one code that is sent.
type charged struct {
	mobile, block state.Key
	// client is an address's counter. For a partner's program it is that of the
	// address it names, if any, which is the partner's own: nobody can use up the
	// budget of an address by naming it.
	client state.Key
	// partner is the counter of a partner's programs, and limit its limit.
	partner state.Key
	limit   Limit
	// own is the number's counter of one browser, from the first code on. It holds
	// nobody back unless the browser has proven the number before, is known, and
	// mobile is used up: then it stands for that, so that somebody else who uses it
	// up does not lock the number's owner out.
	own   state.Key
	known bool
	// again says that the code is another one in the same handshake.
	again bool
}

// chargedTo returns whom a code to a number is charged to.
func (f *Flow) chargedTo(a *Audience, by Asker, m registry.Mobile) charged {
	mobile := f.entries.key("mobile", string(m))
	client := f.clientKey(by.IP)
	if by.How == HowAPI {
		if by.IP.IsValid() {
			client = f.entries.key("ip of", a.ID, string(client[:]))
		} else {
			client = state.Key{}
		}
	}
	return f.forProgram(a, by.How, charged{
		mobile: mobile,
		client: client,
		block:  f.blockKey(m),
		own:    f.ownKey(mobile, by.Browser),
		known:  slices.Contains(by.Phones, f.phoneMark(by.Browser, m)),
	})
}

// forProgram adds what is charged where a partner's program asks.
func (f *Flow) forProgram(a *Audience, how string, c charged) charged {
	if how == HowAPI {
		c.partner, c.limit = f.partnerKey(a), f.partnerLimit(a)
	}
	return c
}

func (f *Flow) ownKey(mobile state.Key, browser ID128) state.Key {
	return f.entries.key("own", string(mobile[:]), string(browser[:]))
}

// perMobile charges a limit for a number to both its counters, together with
// others. The number's own holds back; where it does, and the browser is known,
// the browser's does instead, up to most.
func (f *Flow) perMobile(ctx context.Context, l Limit, name string, mobile, own state.Key, known bool, most int, others ...state.Budget) error {
	everybody, browser := l.budget(name, mobile), l.budget("", own)
	browser.RecordOnly = true
	err := f.takeBudgets(ctx, append(others, everybody, browser)...)
	if !known || limitOf(err) != name {
		return f.limited(err)
	}
	everybody.Name, everybody.RecordOnly = "", true
	browser.Name, browser.RecordOnly, browser.Limit = name, false, min(most, l.Count)
	return f.limited(f.takeBudgets(ctx, append(others, everybody, browser)...))
}

// phoneMark is what a browser keeps of a number that it has proven: nothing that
// another browser could use, or that tells the number.
func (f *Flow) phoneMark(browser ID128, m registry.Mobile) ID128 {
	return ID128(f.entries.key("phone", string(browser[:]), string(m)))
}

// under names the counter that goes with another: of the wrong codes for a
// number, of the codes never entered from an address.
func (f *Flow) under(word string, k state.Key) state.Key { return f.entries.key(word, string(k[:])) }

func (f *Flow) blockKey(m registry.Mobile) state.Key { return f.entries.key("block", m.Block()) }

func (f *Flow) totalKey() state.Key { return f.entries.key("total") }

// take charges what a code costs.
func (f *Flow) take(ctx context.Context, c charged) error {
	l := &f.Limits
	var room [7]state.Budget
	budgets := append(room[:0],
		l.CodesTotal.budget("codes_total", f.totalKey()))
	if c.partner != (state.Key{}) {
		budgets = append(budgets, c.limit.budget(limitPartner, c.partner))
	}
	if c.client != (state.Key{}) {
		budgets = append(budgets, l.CodesPerIP.budget("codes_per_ip", c.client))
	}
	if l.UnenteredPerIP.Percent > 0 && c.client != (state.Key{}) {
		budgets = append(budgets, l.UnenteredPerIP.budget("unentered_per_ip", f.under("unentered", c.client), f.under("sent", c.client)))
	}
	if l.UnenteredPerPrefix.Percent > 0 {
		budgets = append(budgets, l.UnenteredPerPrefix.budget("unentered_per_prefix", c.block, f.under("sent", c.block)))
	}
	// A known browser of a number under attack has one code under way at a time, and
	// what the handshake allows of others in its place.
	most := 1
	if c.again {
		most = l.CodesPerMobile.Count
	}
	return f.perMobile(ctx, l.CodesPerMobile, "codes_per_mobile", c.mobile, c.own, c.known, most, budgets...)
}

// takeWrong charges a code that is about to be compared.
func (f *Flow) takeWrong(ctx context.Context, c charged) error {
	l := f.Limits.WrongPerMobile
	return f.perMobile(ctx, l, "wrong_per_mobile", f.under("wrong", c.mobile), f.under("wrong", c.own), c.known, l.Count)
}

// limitOf is the name of the limit that an error says is reached.
func limitOf(err error) string {
	if limit, ok := asLimit(err); ok {
		return limit.Budget
	}
	return ""
}

// takeBudgets charges, and tells the observer of those that record only.
func (f *Flow) takeBudgets(ctx context.Context, budgets ...state.Budget) error {
	exceeded, err := f.State.Take(ctx, budgets...)
	for _, name := range exceeded {
		if name != "" {
			f.Observer.Limit(name, false)
		}
	}
	return err
}

// limited turns a store's answer into the handshake's.
func (f *Flow) limited(err error) error {
	if limit, ok := asLimit(err); ok {
		f.Observer.Limit(limit.Budget, true)
		f.Observer.Handshake("limited")
		return &Error{Code: TooManyRequests, RetryAfter: limit.RetryAfter, Cause: err}
	}
	if err != nil {
		return f.down(err)
	}
	return nil
}

func (l Limit) budget(name string, key state.Key) state.Budget {
	return state.Budget{Name: name, Key: key, Limit: l.Count, Window: l.Window, RecordOnly: l.RecordOnly}
}

func (s Share) budget(name string, unentered, sent state.Key) state.Budget {
	return state.Budget{Name: name, Key: unentered, Of: sent, Share: s.Percent, Limit: s.Least, Window: s.Window, RecordOnly: s.RecordOnly}
}

// notSent gives back all that a code was charged, because it was not sent.
func (f *Flow) notSent(ctx context.Context, c charged) {
	back := append(f.entered(c), state.Return{Key: f.totalKey()})
	if f.Limits.UnenteredPerIP.Percent > 0 && c.client != (state.Key{}) {
		back = append(back, state.Return{Key: f.under("sent", c.client)})
	}
	if f.Limits.UnenteredPerPrefix.Percent > 0 {
		back = append(back, state.Return{Key: f.under("sent", c.block)})
	}
	f.giveBack(ctx, back...)
}

// right gives back what counts codes that are not entered, and forgets the
// wrong ones: of a known browser its own alone, or the owner of a number would
// give whoever guesses at it new guesses with each visit.
func (f *Flow) right(ctx context.Context, c charged) {
	f.giveBack(ctx, append(f.entered(c),
		state.Return{Key: f.under("wrong", c.mobile), All: !c.known}, state.Return{Key: f.under("wrong", c.own), All: true})...)
}

func (f *Flow) entered(c charged) []state.Return {
	back := append(make([]state.Return, 0, 9), state.Return{Key: c.mobile}, state.Return{Key: c.own})
	if c.partner != (state.Key{}) {
		back = append(back, state.Return{Key: c.partner})
	}
	if c.client != (state.Key{}) {
		back = append(back, state.Return{Key: c.client})
	}
	if f.Limits.UnenteredPerIP.Percent > 0 && c.client != (state.Key{}) {
		back = append(back, state.Return{Key: f.under("unentered", c.client)})
	}
	if f.Limits.UnenteredPerPrefix.Percent > 0 {
		back = append(back, state.Return{Key: c.block})
	}
	return back
}

func (f *Flow) giveBack(ctx context.Context, back ...state.Return) {
	if err := f.State.GiveBack(ctx, back...); err != nil {
		f.Logger.WarnContext(ctx, "counters could not be given back; the limits are tighter than meant until their windows end", "error", err)
	}
}

// parseMobile reads a number of a country and a type that is taken, and tells
// the observer of one that is not. Of what records only it tells once, when a
// code is asked for.
func (f *Flow) parseMobile(typed string, asking bool) (registry.Mobile, error) {
	l := &f.Limits
	m, err := registry.ParseMobile(typed, f.countries)
	if err != nil {
		if errors.Is(err, registry.ErrCountryNotAllowed) {
			f.Observer.Limit(limitCountries, true)
		}
		return "", err
	}
	if !l.CountriesRecordOnly && len(l.NumberTypes) == 0 {
		return m, nil
	}
	country, kind := m.Describe()
	if asking && !slices.Contains(l.Countries, country) { // then the countries record only
		f.Observer.Limit(limitCountries, false)
	}
	if len(l.NumberTypes) == 0 || slices.Contains(l.NumberTypes, kind) {
		return m, nil
	}
	if !l.NumberTypesRecordOnly {
		f.Observer.Limit(limitNumberTypes, true)
		return "", registry.ErrMobileInvalid
	}
	if asking {
		f.Observer.Limit(limitNumberTypes, false)
	}
	return m, nil
}

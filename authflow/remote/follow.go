package remote

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/withdrawals"
)

const (
	withdrawnPath = "/api/v3/consent/withdrawn"
	// followTime bounds one page, maxPages one round of them.
	followTime = 10 * time.Second
	maxPages   = 1000
	maxPage    = 4 << 20 // bytes
	maxMark    = 256
	// overlap is how far back each round begins again: what was written at the
	// authority at the same time, and became visible later, is not passed over.
	// Hearing of a withdrawal twice changes nothing.
	overlap = 30 * time.Second
	// aheadOf is how far the authority's clock may be behind ours.
	aheadOf = time.Minute
)

// follow asks the authority for withdrawals until ctx ends. It keeps nothing: at
// the start it begins as long ago as a pass can last.
func (c *Client) follow(ctx context.Context) {
	mark := time.Now().Add(-c.cfg.Longest - aheadOf).UTC().Format(time.RFC3339Nano)
	tick := time.NewTicker(c.cfg.FollowEvery)
	defer tick.Stop()
	silent := false
	for {
		next, err := c.round(ctx, mark)
		if ctx.Err() != nil {
			return
		}
		mark = next
		switch {
		case err != nil && !silent:
			c.log.Error("withdrawals made at the authority are not known here until it answers; passes count meanwhile", "error", err)
		case err == nil && silent:
			c.log.Info("withdrawals made at the authority are known here again")
		}
		silent = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round reads all pages that there are, and returns where the next begins.
func (c *Client) round(ctx context.Context, mark string) (string, error) {
	since := mark
	if t, err := time.Parse(time.RFC3339, mark); err == nil {
		since = t.Add(-overlap).UTC().Format(time.RFC3339Nano)
	}
	seen := map[authflow.ID128]bool{}
	for range maxPages {
		p, err := c.page(ctx, since)
		if err != nil {
			return mark, err
		}
		before := len(seen)
		for _, w := range p.withdrawn {
			seen[w.consent] = true
			c.learn(ctx, w)
		}
		mark = later(mark, p.next)
		// An authority may begin each page a little before the last one's end.
		if len(seen) == before || p.next == "" || p.next == since {
			return mark, nil
		}
		since = p.next
	}
	return mark, nil
}

// later returns the later of two marks; of marks that are no times, the new one.
func later(mark, next string) string {
	if next == "" {
		return mark
	}
	a, errA := time.Parse(time.RFC3339, mark)
	b, errB := time.Parse(time.RFC3339, next)
	if errA == nil && errB == nil && b.Before(a) {
		return mark
	}
	return next
}

// learn has a withdrawal count here.
func (c *Client) learn(ctx context.Context, w withdrawn) {
	until := w.at.Add(c.cfg.Longest).Truncate(time.Second).Add(time.Second)
	if !until.After(time.Now()) || c.cfg.Withdrawals.Has(w.consent) {
		return
	}
	err := c.cfg.Withdrawals.Withdraw(ctx, withdrawals.Withdrawal{Consent: w.consent, Until: until})
	if err != nil && !errors.Is(err, withdrawals.ErrNotShared) { // other instances ask the authority themselves
		c.log.Warn("a withdrawal made at the authority could not be put where other instances look; they ask it themselves", "error", err)
	}
}

func (c *Client) page(ctx context.Context, since string) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	in := call{method: http.MethodGet, path: withdrawnPath, query: url.Values{"since": {since}}, most: maxPage, again: true}
	// beside the breaker: it is for people who wait
	r, err := c.attempt(ctx, in, nil)
	if err != nil {
		return page{}, err
	}
	if r.status != http.StatusOK {
		return page{}, refusal("withdrawn", r)
	}
	return readPage(r.body)
}

// Ready returns nil if the authority answers, and takes our key, else why not.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.page(ctx, time.Now().UTC().Format(time.RFC3339))
	return err
}

type withdrawn struct {
	consent authflow.ID128
	at      time.Time
}

type page struct {
	withdrawn []withdrawn
	next      string
}

// readPage reads one page. Consents whose id is none of ours to read are passed
// over: none of our passes can rest on them.
func readPage(body []byte) (page, error) {
	m, err := readObject(body)
	if err != nil {
		return page{}, garbled("withdrawn", err)
	}
	var list []json.RawMessage
	raw, ok := m["withdrawn"]
	if !ok || json.Unmarshal(raw, &list) != nil {
		return page{}, garbled("withdrawn", errors.New("it has no list"))
	}
	var p page
	if p.next, err = m.text("next", 0, maxMark); err != nil {
		return page{}, garbled("withdrawn", err)
	}
	for _, raw := range list {
		entry, err := readObject(raw)
		if err != nil {
			return page{}, garbled("withdrawn", err)
		}
		consent, err := entry.text("consent", 1, 128)
		if err != nil {
			return page{}, garbled("withdrawn", err)
		}
		at, err := entry.text("at", 1, 64)
		if err != nil {
			return page{}, garbled("withdrawn", err)
		}
		w := withdrawn{}
		if w.at, err = time.Parse(time.RFC3339, at); err != nil {
			return page{}, garbled("withdrawn", errors.New("its at is no time of RFC 3339"))
		}
		if w.consent, err = authflow.ParseID(consent); err == nil {
			p.withdrawn = append(p.withdrawn, w)
		}
	}
	return p, nil
}

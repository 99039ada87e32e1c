package remote

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
)

const (
	withdrawPath = "/api/v3/consent/withdraw"
	// The first pause after a report that failed, doubled up to the last.
	firstPause, lastPause = time.Second, time.Minute
)

// Withdrawn implements authflow.Authority.
func (c *Client) Withdrawn(consent authflow.ID128) {
	c.mu.Lock()
	c.pending[consent] = struct{}{}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Unreported is how many withdrawals the authority does not have yet.
func (c *Client) Unreported() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}

// report tells the authority what was withdrawn here, until ctx ends. What it was
// told is not written down: at the start it is told again of all that still
// matters, which changes nothing where it knew.
func (c *Client) report(ctx context.Context) {
	pause := time.Duration(0)
	learned, silent := false, false
	for {
		err := error(nil)
		if !learned {
			if err = c.learnOwn(ctx); err == nil {
				learned = true
			}
		}
		if err == nil {
			err = c.reportAll(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !silent:
			c.log.Warn("the authority could not be told of a withdrawal; it counts here, and that is tried until it is done", "error", err)
		case err == nil && silent:
			c.log.Info("the authority has been told of all withdrawals")
		}
		silent = err != nil
		if err == nil {
			pause = 0
			select {
			case <-ctx.Done():
				return
			case <-c.wake:
			}
			continue
		}
		pause = min(max(2*pause, firstPause), lastPause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// learnOwn makes pending what our ledger has of withdrawals on which something
// could still rest.
func (c *Client) learnOwn(ctx context.Context) error {
	now := time.Now()
	return c.cfg.Ledger.Replay(ctx, func(e ledger.Entry) error {
		if e.Event != ledger.Withdrawn || e.Partner != c.cfg.Partner || !e.Until.IsZero() && e.Until.Before(now) {
			return nil
		}
		if id, err := authflow.ParseID(e.Consent); err == nil {
			c.mu.Lock()
			c.pending[id] = struct{}{}
			c.mu.Unlock()
		}
		return nil
	})
}

func (c *Client) reportAll(ctx context.Context) error {
	c.mu.Lock()
	list := make([]authflow.ID128, 0, len(c.pending))
	for id := range c.pending {
		list = append(list, id)
	}
	c.mu.Unlock()
	for _, id := range list {
		if err := c.reportOne(ctx, id); err != nil {
			return err
		}
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
	}
	return nil
}

// reportOne returns nil if the authority has the withdrawal, or has no such
// consent.
func (c *Client) reportOne(ctx context.Context, consent authflow.ID128) error {
	body := []byte(`{"consent":"` + authflow.FormatID(consent) + `"}`)
	r, err := c.attempt(ctx, call{method: http.MethodPost, path: withdrawPath}, body)
	if err != nil {
		return err
	}
	if r.status == http.StatusNoContent || r.status == http.StatusOK {
		return nil
	}
	err = refusal("withdraw", r, authflow.TxnUnknown, authflow.BadRequest)
	if e := (*authflow.Error)(nil); errors.As(err, &e) && (e.Code == authflow.TxnUnknown || e.Code == authflow.BadRequest) {
		c.log.Warn("the authority does not know a consent that was withdrawn here; there is nothing more to tell it")
		return nil
	}
	return err
}

package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// fetchedKeys finds keys in a key set that it fetches when it meets a kid it
// does not know, at most once a second.
type fetchedKeys struct {
	url string

	mu      sync.Mutex
	keys    assertion.KeyFunc
	fetched time.Time
}

// keySetClient fetches key sets. It follows no redirect: keys come from where
// they were said to be.
var keySetClient = &http.Client{
	Timeout:       5 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// find is an assertion.KeyFunc.
func (f *fetchedKeys) find(ctx context.Context, kid string) (jose.JSONWebKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keys != nil {
		key, err := f.keys(ctx, kid)
		if err == nil || !errors.Is(err, assertion.ErrKeyUnknown) || time.Since(f.fetched) < time.Second {
			return key, err
		}
	}
	keys, err := f.fetch(ctx)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	f.keys, f.fetched = keys, time.Now()
	return f.keys(ctx, kid)
}

func (f *fetchedKeys) fetch(ctx context.Context) (assertion.KeyFunc, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := keySetClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", f.url, resp.Status)
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&set); err != nil {
		return nil, fmt.Errorf("%s answered with something other than a key set", f.url)
	}
	return assertion.StaticKeys(set)
}

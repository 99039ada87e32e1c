package assertion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeySetSize is the most bytes a key set may have: some fifty keys.
	maxKeySetSize = 64 << 10
	// maxETag is the longest entity tag that is sent back.
	maxETag = 256
	// maxRedirects is how often one fetch may be sent on, within its origin.
	maxRedirects = 3
)

// keySetURL takes the address of a key set apart, or says what is wrong with it.
func keySetURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, errors.New("assertion: a key set needs its URL, e.g. https://mall.example/.kycvs/jwks.json")
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, errors.New("assertion: a key set's URL must be a whole one, e.g. https://mall.example/.kycvs/jwks.json")
	case u.User != nil:
		return nil, errors.New("assertion: a key set's URL must have no user name in it: the keys are public")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("assertion: a key set's URL must begin with https://, not %s://: http is for this machine alone (localhost)", u.Scheme)
}

// isLoopback says that a host is this machine, by its name alone (RFC 6761,
// section 6.3).
func isLoopback(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// fetcher asks for a key set.
type fetcher struct {
	url    string
	client *http.Client
}

func newFetcher(u *url.URL, transport http.RoundTripper) fetcher {
	return fetcher{u.String(), &http.Client{
		Transport: transport,
		// Keys come from where they were said to be: an open redirect at the issuer
		// must not name others.
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("too many redirects")
			}
			if to.URL.Scheme != u.Scheme || !strings.EqualFold(to.URL.Host, u.Host) {
				return errors.New("a redirect to another origin: write the address where the keys really are")
			}
			return nil
		},
	}}
}

// fetched is what a fetch brought.
type fetched struct {
	keys map[string]jose.JSONWebKey
	etag string
	age  time.Duration // how long they may be kept, as the answer says
}

// fetch asks for the keys, or whether those held have changed; held may be nil.
func (f fetcher) fetch(ctx context.Context, held *heldKeys) (fetched, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return fetched{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	if held != nil && held.etag != "" {
		req.Header.Set("If-None-Match", held.etag)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return fetched{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	defer resp.Body.Close()

	got := fetched{age: keepFor(resp.Header)}
	switch {
	case resp.StatusCode == http.StatusNotModified && held != nil:
		got.keys, got.etag = held.keys, held.etag
		return got, nil
	case resp.StatusCode != http.StatusOK:
		return fetched{}, fmt.Errorf("%w: %s answered %d, not 200: check the address", errNoAnswer, f.url, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySetSize+1))
	switch {
	case err != nil:
		return fetched{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	case len(body) > maxKeySetSize:
		return fetched{}, fmt.Errorf("%w: what %s answers is larger than %d bytes", errNoAnswer, f.url, maxKeySetSize)
	}
	if got.keys, err = parseKeySet(body); err != nil {
		return fetched{}, fmt.Errorf("%w: %s answered with something other than a key set: check the address", errNoAnswer, f.url)
	}
	if etag := resp.Header.Get("ETag"); len(etag) <= maxETag {
		got.etag = etag
	}
	return got, nil
}

// keepFor reads how long an answer may be kept (RFC 9111, section 4.2.1), less
// what a cache on the way kept it already.
func keepFor(h http.Header) time.Duration {
	age := unsaidKeyAge
	said := false
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			// Of two the shorter; what is no number means 0 (section 4.2.1: stale).
			if seconds := wholeSeconds(strings.Trim(value, `"`)); !said || seconds < age {
				age, said = seconds, true
			}
		}
	}
	if said {
		age -= wholeSeconds(h.Get("Age"))
	}
	return max(age, 0)
}

// wholeSeconds reads delta-seconds (RFC 9111, section 1.2.2), at most a year;
// anything else is 0.
func wholeSeconds(text string) time.Duration {
	const year = 365 * 24 * 60 * 60
	n, err := strconv.ParseUint(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		n = year
	} else if err != nil {
		return 0
	}
	return time.Duration(min(n, year)) * time.Second
}

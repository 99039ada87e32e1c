package caddymodule

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"golang.org/x/net/idna"
)

// site is the site block a gate stands in.
type site struct {
	addresses []string // as the Caddyfile gives them
	hosts     []string // as Caddy matches them: lower case, ASCII, no port, each once
	bounded   bool     // every address names one host, so hosts are all that get in
	top       bool     // the directive stands directly in the site block
}

// String names the site in a message.
func (s site) String() string {
	if len(s.addresses) == 0 {
		return "this gate's site"
	}
	return fmt.Sprintf("the site %q", strings.Join(s.addresses, ", "))
}

// origins returns the longest origins the site could have, for judging sizes.
func (s site) origins() []string {
	var origins []string
	for _, h := range s.hosts {
		origins = append(origins, "https://"+h+":65535")
	}
	return origins
}

// siteOf finds out which site a directive stands in. A named route may be
// invoked from any site, so its site is unknown, which is the same as an address
// that names no host.
func siteOf(h httpcaddyfile.Helper) (site, error) {
	var addresses []string
	if !h.IsNamedRoute() {
		addresses = siteAddresses(h)
	}
	s, err := parseSite(addresses)
	s.top = standsAtTop(h)
	return s, err
}

// siteAddresses reads the keys of the site block, which the adapter keeps in a
// field that is not exported. Reading strings there by reflection is allowed and
// changes nothing. Where a later Caddy has no such field, the site is unknown,
// and its gates must name partner and issuer; TestSiteOf would show it.
func siteAddresses(h httpcaddyfile.Helper) []string {
	keys := member(member(reflect.ValueOf(h), "parentBlock"), "Keys")
	if !keys.IsValid() || keys.Kind() != reflect.Slice {
		return nil
	}
	var addresses []string
	for i := range keys.Len() {
		text := member(keys.Index(i), "Text")
		if !text.IsValid() || text.Kind() != reflect.String {
			return nil
		}
		addresses = append(addresses, text.String())
	}
	return addresses
}

func member(v reflect.Value, name string) reflect.Value {
	if !v.IsValid() || v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}

// standsAtTop says whether a directive stands directly in its site block. There
// the adapter's two states are one map; in a block such as handle or route,
// BlockState is a copy. (Comparing lines would not do: an imported line can
// stand both at the top and in a block.)
func standsAtTop(h httpcaddyfile.Helper) bool {
	return !h.IsNamedRoute() && reflect.ValueOf(h.State).Pointer() == reflect.ValueOf(h.BlockState).Pointer()
}

// standsInBlockOfNamedRoute says whether a directive stands in a block within a
// named route, such as handle, or may do so for all that can be read.
//
// Of a named route whose handlers have no matchers between them, Caddy v2.11.9
// adapts the first handler alone and loses the others. parseGate keeps a gate
// from being lost where it makes the route, which it does not for a block.
func standsInBlockOfNamedRoute(h httpcaddyfile.Helper) bool {
	if !h.IsNamedRoute() {
		return false
	}
	segments := member(member(reflect.ValueOf(h), "parentBlock"), "Segments")
	if !segments.IsValid() || segments.Kind() != reflect.Slice {
		return true
	}
	here, found, depth := h.Token(), false, 0
	for i := range segments.Len() {
		for j := range segments.Index(i).Len() {
			tok := segments.Index(i).Index(j)
			text, line, file, quoted := member(tok, "Text"), member(tok, "Line"), member(tok, "File"), member(tok, "wasQuoted")
			if !text.IsValid() || !line.IsValid() || !file.IsValid() || !quoted.IsValid() {
				return true
			}
			switch {
			case text.String() == "{" && quoted.Int() == 0:
				depth++
			case text.String() == "}" && quoted.Int() == 0:
				depth--
			case text.String() == here.Text && int(line.Int()) == here.Line && file.String() == here.File:
				found = true
				if depth > 1 {
					return true
				}
			}
		}
	}
	return !found
}

// parseSite reads the addresses of a site. An address with a path is an error:
// the pages under /.kycvs/ would be out of reach.
func parseSite(addresses []string) (site, error) {
	s := site{addresses: addresses, bounded: len(addresses) > 0}
	for _, address := range addresses {
		a, err := httpcaddyfile.ParseAddress(address)
		if err != nil {
			return s, fmt.Errorf("site address %q: %w: write host, or host:port", address, err)
		}
		if a.Path != "" && a.Path != "/" {
			return s, fmt.Errorf("the site address %q has a path, so that the pages under /.kycvs/ would be out of reach: write the site without %s, and `kycvs %s 2` in it", address, a.Path, strings.TrimSuffix(a.Path, "*")+"*")
		}
		host, err := matchedHost(a.Normalize().Host)
		if err != nil {
			return s, fmt.Errorf("site address %q: %w", address, err)
		}
		if host == "" || strings.ContainsAny(host, "*{}") {
			s.bounded = false
			continue
		}
		if !slices.Contains(s.hosts, host) {
			s.hosts = append(s.hosts, host)
		}
	}
	return s, nil
}

// matchedHost is host as Caddy's host matcher compares it, which is how it
// stands in a request: IDNA names in ASCII (RFC 5891).
func matchedHost(host string) (string, error) {
	ascii, err := idna.ToASCII(strings.Trim(host, "[]"))
	if err != nil {
		return "", errors.New("the host is no name that DNS can have: write it in ASCII")
	}
	return strings.ToLower(ascii), nil
}

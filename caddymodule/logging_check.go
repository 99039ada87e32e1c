package caddymodule

import (
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/logging"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
)

// filteredField is the field by which we tell whether a log has the filter
// lines of docs/privacy.md.
const filteredField = "request>headers>" + assertion.HeaderName

// unfilteredLogs names the logs that would show what no log should: Caddy's
// reverse_proxy prints the fields it sends at DEBUG, and the access log prints
// most that it was sent. Where a later Caddy keeps its logs otherwise, it names
// none.
func unfilteredLogs(ctx caddy.Context) []string {
	access := hasAccessLogs(ctx)
	logs := member(indirect(member(indirect(member(reflect.ValueOf(ctx), "cfg")), "Logging")), "Logs")
	if !logs.IsValid() || logs.Kind() != reflect.Map || logs.Len() == 0 {
		if access {
			return []string{caddy.DefaultLoggerName}
		}
		return nil
	}
	var names []string
	for entries := logs.MapRange(); entries.Next(); {
		l := indirect(entries.Value())
		show := access && takes(l, "http.log.access") ||
			strings.EqualFold(stringIn(member(l, "Level")), "DEBUG") && takes(l, "http.handlers.reverse_proxy")
		if show && !filters(member(l, "encoder")) {
			names = append(names, entries.Key().String())
		}
	}
	slices.Sort(names)
	return names
}

func hasAccessLogs(ctx caddy.Context) bool {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return false
	}
	for _, s := range app.(*caddyhttp.App).Servers {
		if s.Logs != nil {
			return true
		}
	}
	return false
}

// takes tells whether a log takes lines of the logger: included, or nothing is,
// and not excluded.
func takes(log reflect.Value, logger string) bool {
	related := func(field string) (any, match bool) {
		list := member(log, field)
		if !list.IsValid() || list.Kind() != reflect.Slice {
			return false, false
		}
		for i := range list.Len() {
			name := stringIn(list.Index(i))
			if strings.HasPrefix(name+".", logger+".") || strings.HasPrefix(logger+".", name+".") {
				return true, true
			}
		}
		return list.Len() > 0, false
	}
	includes, included := related("Include")
	_, excluded := related("Exclude")
	return (!includes || included) && !excluded
}

// filters tells whether an encoder is Caddy's filter with our lines in it, or
// with the whole header taken out.
func filters(encoder reflect.Value) bool {
	encoder = indirect(encoder)
	if !encoder.IsValid() || encoder.Type() != reflect.TypeFor[logging.FilterEncoder]() {
		return false
	}
	fields := member(encoder, "Fields")
	if !fields.IsValid() || fields.Kind() != reflect.Map {
		return false
	}
	for _, key := range fields.MapKeys() {
		if k := stringIn(key); strings.EqualFold(k, filteredField) || k == "request>headers" || k == "request" {
			return true
		}
	}
	return false
}

// indirect follows pointers and interfaces.
func indirect(v reflect.Value) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		v = v.Elem()
	}
	return v
}

// stringIn is a string, "" for anything else.
func stringIn(v reflect.Value) string {
	if v.IsValid() && v.Kind() == reflect.String {
		return v.String()
	}
	return ""
}

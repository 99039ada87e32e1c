package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// config makes a JSON configuration of an app's members and, if given, a gate's
// and a matcher's.
func config(app, gate, matcher string) []byte {
	var routes []string
	if matcher != "" {
		routes = append(routes, `{"match":[{"kycvs":`+matcher+`}],"handle":[{"handler":"static_response"}]}`)
	}
	if gate != "" {
		routes = append(routes, `{"handle":[{"handler":"kycvs",`+gate+`}]}`)
	}
	return fmt.Appendf(nil, `{"apps":{"kycvs":{%s},"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[%s]}}}}}`, app, strings.Join(routes, ","))
}

const (
	leastApp  = `"registry":{"engine":"csv","path":"people.csv"},"sms":[{"sender":"log"}]`
	leastGate = `"level":2,"site":["http://mall.example"]`
)

func TestProvisionJSON(t *testing.T) {
	setUpMachine(t)
	for _, c := range []struct {
		name, app, gate, matcher string
		want                     string // part of the error; empty if it is to be taken
	}{
		{name: "least", app: leastApp, gate: leastGate},
		{name: "gate without a site", app: leastApp + `,"issuer":"https://kyc.example"`, gate: `"partner":"a","purpose":"Entry"`},

		{name: "no registry", app: `"sms":[{"sender":"log"}]`, want: "registry is missing: write"},
		{name: "no sms", app: `"registry":{"engine":"csv","path":"people.csv"}`, want: "sms is missing: write"},
		{name: "unknown registry", app: `"registry":{"engine":"oracle"},"sms":[{"sender":"log"}]`, want: `unknown registry "oracle"; this build has: csv, file, postgres; write`},
		{name: "registry file", app: `"registry":{"engine":"file","directory":"doses"},"sms":[{"sender":"log"}]`},
		{name: "registry file without directory", app: `"registry":{"engine":"file"},"sms":[{"sender":"log"}]`, want: "directory is missing: write"},
		{name: "registry file that is a file", app: `"registry":{"engine":"file","directory":"people.csv"},"sms":[{"sender":"log"}]`, want: "people.csv is not a directory: write"},
		{name: "registry file unresolved", app: `"registry":{"engine":"file","directory":"{env.NOT_SET}"},"sms":[{"sender":"log"}]`, want: "NOT_SET"},
		{name: "registry postgres", app: `"registry":{"engine":"postgres","dsn":"{env.KYCVS_DSN}","max_conns":4,"timeout":"1s"},"sms":[{"sender":"log"}]`},
		{name: "registry postgres without dsn", app: `"registry":{"engine":"postgres"},"sms":[{"sender":"log"}]`, want: "dsn is missing: write"},
		{name: "registry postgres' dsn", app: `"registry":{"engine":"postgres","dsn":"postgres://a:b/c@d"},"sms":[{"sender":"log"}]`, want: "write"},
		{name: "registry postgres' max_conns", app: `"registry":{"engine":"postgres","dsn":"{env.KYCVS_DSN}","max_conns":-1},"sms":[{"sender":"log"}]`, want: "max_conns -1 is out of bounds: write"},
		{name: "registry postgres' timeout", app: `"registry":{"engine":"postgres","dsn":"{env.KYCVS_DSN}","timeout":"1h"},"sms":[{"sender":"log"}]`, want: "timeout 1h is out of bounds: write"},
		{name: "unnamed registry", app: `"registry":{"path":"x"},"sms":[{"sender":"log"}]`, want: "registry does not say which"},
		{name: "registry no object", app: `"registry":"csv","sms":[{"sender":"log"}]`, want: "registry is not an object"},
		{name: "unknown sender", app: `"registry":{"engine":"csv","path":"people.csv"},"sms":[{"sender":"pigeon"}]`, want: `unknown sms "pigeon"; this build has: http, log`},
		{name: "unknown state", app: leastApp + `,"state":{"engine":"etcd"}`, want: `unknown state "etcd"; this build has: memory, redis`},
		{name: "state redis", app: leastApp + `,"state":{"engine":"redis","urls":["{env.KYCVS_REDIS}"],"password":"{env.REDIS_PASSWORD}","prefix":"a","timeout":"1s","max_conns":4}`},
		{name: "state redis without urls", app: leastApp + `,"state":{"engine":"redis"}`, want: "urls is missing: write"},
		{name: "state redis' empty url", app: leastApp + `,"state":{"engine":"redis","urls":[""]}`, want: "urls is empty: write"},
		{name: "state redis' url", app: leastApp + `,"state":{"engine":"redis","urls":["redis://a:b/c@d"]}`, want: "the URL cannot be read: write"},
		{name: "state redis' url, resolved", app: leastApp + `,"state":{"engine":"redis","urls":["{env.KYCVS_DSN}"]}`, want: "the URL begins with another word than redis, rediss or unix: write"},
		{name: "state redis from an unset variable", app: leastApp + `,"state":{"engine":"redis","urls":["redis://a"],"password":"{env.KYCVS_UNSET}"}`, want: "password: evaluated placeholder {env.KYCVS_UNSET} is empty"},
		{name: "state redis' prefix", app: leastApp + `,"state":{"engine":"redis","urls":["redis://a"],"prefix":"{a}b"}`, want: "prefix"},
		{name: "state redis' timeout", app: leastApp + `,"state":{"engine":"redis","urls":["redis://a"],"timeout":"1m"}`, want: "timeout 1m is out of bounds: write"},
		{name: "state redis' max_conns", app: leastApp + `,"state":{"engine":"redis","urls":["redis://a"],"max_conns":-1}`, want: "max_conns -1 is out of bounds: write"},
		{name: "state redis' sentinel and cluster", app: leastApp + `,"state":{"engine":"redis","urls":["redis://a"],"sentinel":"m","cluster":true}`, want: "contradict each other: write"},
		{name: "state redis' ca", app: leastApp + `,"state":{"engine":"redis","urls":["redis://a"],"tls":{"ca":"nowhere.pem"}}`, want: string(filepath.Separator) + "nowhere.pem cannot be read"},
		{name: "state redis' ca that is none", app: leastApp + `,"state":{"engine":"redis","urls":["redis://a"],"tls":{"ca":"people.csv"}}`, want: "holds no certificate: write"},
		{name: "state redis' cert without key", app: leastApp + `,"state":{"engine":"redis","urls":["redis://a"],"tls":{"cert":"people.csv"}}`, want: "a certificate needs its key: write"},
		{name: "unknown ledger", app: leastApp + `,"ledger":{"engine":"etcd"}`, want: `unknown ledger "etcd"; this build has: file, postgres`},
		{name: "unknown member", app: leastApp + `,"colour":"blue"`, want: "colour"},
		{name: "guest's unknown member", app: `"registry":{"engine":"csv","path":"people.csv","colour":1},"sms":[{"sender":"log"}]`, want: "colour"},
		{name: "no such file", app: `"registry":{"engine":"csv","path":"nobody.csv"},"sms":[{"sender":"log"}]`, want: string(filepath.Separator) + "nobody.csv: put it there, or write its absolute path"},
		{name: "a directory", app: `"registry":{"engine":"csv","path":"examples"},"sms":[{"sender":"log"}]`, want: "examples is not a file: write"},
		{name: "no path", app: `"registry":{"engine":"csv"},"sms":[{"sender":"log"}]`, want: "path is missing: write"},
		{name: "http sender without url", app: `"registry":{"engine":"csv","path":"people.csv"},"sms":[{"sender":"http"}]`, want: "url is missing: write"},
		{name: "http sender's method", app: `"registry":{"engine":"csv","path":"people.csv"},"sms":[{"sender":"http","url":"https://a.example","method":"FETCH"}]`, want: "write one of POST"},
		{name: "http sender's placeholder", app: `"registry":{"engine":"csv","path":"people.csv"},"sms":[{"sender":"http","url":"https://a.example","body":"{sms.name}"}]`, want: "{sms.name} is not known: write"},
		{name: "http sender's field", app: `"registry":{"engine":"csv","path":"people.csv"},"sms":[{"sender":"http","url":"https://a.example","header":{"A B":["x"]}}]`, want: "not the name of a header field"},

		{name: "state_grace", app: leastApp + `,"state_grace":"240h"`, want: "state_grace 10d is out of bounds: write"},
		{name: "stream_grace too short", app: leastApp + `,"stream_grace":"0.5s"`, want: "stream_grace 500ms is out of bounds: write a duration from 1s to 1h"},
		{name: "stream_grace too long", app: leastApp + `,"stream_grace":"2h"`, want: "stream_grace 2h is out of bounds: write"},
		{name: "negative duration", app: leastApp + `,"state_grace":-1`, want: "out of bounds: write"},
		{name: "otp length", app: leastApp + `,"otp":{"length":3}`, want: "otp length 3 is out of bounds: write a whole number from 4 to 10"},
		{name: "otp lifetime", app: leastApp + `,"otp":{"lifetime":"1h"}`, want: "otp lifetime 1h is out of bounds"},
		{name: "otp attempts", app: leastApp + `,"otp":{"attempts":-1}`, want: "otp attempts -1 is out of bounds"},
		{name: "otp resend_after", app: leastApp + `,"otp":{"resend_after":"1s"}`, want: "otp resend_after 1s is out of bounds"},
		{name: "limit without window", app: leastApp + `,"limits":{"codes_per_mobile":{"count":5}}`, want: "limits codes_per_mobile window 0s is out of bounds"},
		{name: "limit without count", app: leastApp + `,"limits":{"codes_total":{"window":"1m"}}`, want: "limits codes_total count 0 is out of bounds"},
		{name: "limits", app: leastApp + `,"limits":{"codes_per_mobile":{"count":5,"window":"24h","record_only":true},"unentered_per_ip":{"percent":80,"least":20,"window":"1h"},"unentered_per_prefix":{"percent":100,"least":1,"window":"31d","record_only":true},"countries":[91,1],"countries_record_only":true,"number_types":["mobile"],"number_types_record_only":true}`},
		{name: "limit that records only and no more", app: leastApp + `,"limits":{"codes_per_ip":{"record_only":true}}`, want: "limits codes_per_ip count 0 is out of bounds: write"},
		{name: "wrong_per_mobile that records only", app: leastApp + `,"limits":{"wrong_per_mobile":{"count":15,"window":"24h","record_only":true}}`, want: "it is what keeps guesses at codes out; write it without"},
		{name: "share without percentage", app: leastApp + `,"limits":{"unentered_per_ip":{"least":20,"window":"1h"}}`, want: "limits unentered_per_ip percentage 0 is out of bounds: write a whole number from 1 to 100"},
		{name: "share above all", app: leastApp + `,"limits":{"unentered_per_prefix":{"percent":101,"least":20,"window":"1h"}}`, want: "limits unentered_per_prefix percentage 101 is out of bounds: write"},
		{name: "share of how many", app: leastApp + `,"limits":{"unentered_per_ip":{"percent":80,"window":"1h"}}`, want: "limits unentered_per_ip least number of codes 0 is out of bounds: write"},
		{name: "share without window", app: leastApp + `,"limits":{"unentered_per_ip":{"percent":80,"least":20}}`, want: "limits unentered_per_ip window 0s is out of bounds: write"},
		{name: "number type", app: leastApp + `,"limits":{"number_types":["landline"]}`, want: `number_types "landline" is unknown: write one or more of mobile, fixed_line_or_mobile, unknown`},
		{name: "number type twice", app: leastApp + `,"limits":{"number_types":["mobile","mobile"]}`, want: "number_types has mobile twice: write it once"},
		{name: "no number types to record", app: leastApp + `,"limits":{"number_types_record_only":true}`, want: "has no number_types to go by: write"},
		{name: "all number types to record", app: leastApp + `,"limits":{"number_types":["mobile","fixed_line_or_mobile","unknown"],"number_types_record_only":true}`, want: "nothing to record: write fewer"},
		{name: "number types that nobody has", app: leastApp + `,"limits":{"number_types":["fixed_line_or_mobile"]}`, want: "takes no number of India, and countries has no other: write mobile as well"},
		{name: "number types that nobody has, recorded", app: leastApp + `,"limits":{"number_types":["fixed_line_or_mobile"],"number_types_record_only":true}`},
		{name: "number types of another country", app: leastApp + `,"limits":{"number_types":["fixed_line_or_mobile"],"countries":[1]}`},
		{name: "state memory", app: leastApp + `,"state":{"engine":"memory","max_handshakes":1000,"max_counters":100}`},
		{name: "state memory's handshakes", app: leastApp + `,"state":{"engine":"memory","max_handshakes":-1}`, want: "max_handshakes -1 is out of bounds: write a whole number from 100 to 100000000"},
		{name: "state memory's counters", app: leastApp + `,"state":{"engine":"memory","max_counters":99}`, want: "max_counters 99 is out of bounds: write"},
		{name: "country", app: leastApp + `,"limits":{"countries":[999]}`, want: "countries 999 is no country calling code: write"},
		{name: "name_match", app: leastApp + `,"name_match":{"strategy":"fuzzy"}`, want: `name_match "fuzzy" is unknown: write`},
		{name: "name_match percentage without strategy", app: leastApp + `,"name_match":{"partial":60}`, want: "without the strategy partial: write"},
		{name: "name_match without percentage", app: leastApp + `,"name_match":{"strategy":"partial"}`, want: "name_match partial 0 is out of bounds"},
		{name: "algorithm", app: leastApp + `,"signing":{"algorithm":"none"}`, want: "write one of ES256, EdDSA, RS256"},
		{name: "rotate_every", app: leastApp + `,"signing":{"rotate_every":1}`, want: "signing rotate_every 1ns is out of bounds"},
		{name: "issuer", app: leastApp + `,"issuer":"https://kyc.example/a"`, want: "write https://kyc.example"},
		{name: "issuer from an unset variable", app: leastApp + `,"issuer":"{env.KYCVS_UNSET}"`, want: "issuer: evaluated placeholder {env.KYCVS_UNSET} is empty: set what it stands for"},
		{name: "secret unknown placeholder", app: leastApp + `,"secret":["{vault.secret}"]`, want: "secret: unrecognized placeholder {vault.secret}"},
		{name: "secret from a file that is not there", app: leastApp + `,"secret":["{file.nowhere}"]`, want: "secret: evaluated placeholder {file.nowhere} is empty"},
		{name: "secret short", app: leastApp + `,"secret":["{env.KYCVS_PURPOSE}x","short"]`, want: "secret has 5 bytes"},
		{name: "secret twice", app: leastApp + `,"secret":["{env.KYCVS_SECRET}","{env.KYCVS_SECRET}"]`, want: "secret has the same one twice: write"},
		{name: "secret empty", app: leastApp + `,"secret":[""]`, want: "secret is empty: write"},
		{name: "notice", app: leastApp + `,"notice":{"contact":"nobody"}`, want: "notice contact \"nobody\" is neither"},
		{name: "vaccines", app: leastApp + `,"vaccines":[{"name":"COMIRNATY","aliases":["BNT162b2","{env.KYCVS_ALIAS}2"],"regimens":[{"doses":3},{"doses":2,"since":"{env.KYCVS_SINCE}"}],"from":"2020-12-08"},{"name":"COVAXIN","from":"2021-02-01"},{"name":"X","precaution_only":true}]`},
		{name: "vaccine without name", app: leastApp + `,"vaccines":[{"regimens":[{"doses":2}]}]`, want: "a vaccine has no name: write"},
		{name: "vaccine without doses", app: leastApp + `,"vaccines":[{"name":"X"}]`, want: `vaccine "X": it does not say how many doses the course has: write`},
		{name: "vaccine with an empty regimen", app: leastApp + `,"vaccines":[{"name":"X","regimens":[{}]}]`, want: "doses 0 is out of bounds: write"},
		{name: "vaccine twice", app: leastApp + `,"vaccines":[{"name":"COVAXIN","from":"2021-02-01"},{"name":"Covaxin","precaution_only":true}]`, want: `the name "COVAXIN" is one of "COVAXIN" already: write another, or put both into one`},
		{name: "vaccine twice, resolved", app: leastApp + `,"vaccines":[{"name":"COMIRNATY","regimens":[{"doses":2}]},{"name":"{env.KYCVS_VACCINE}","regimens":[{"doses":2}]}]`, want: "is one of \"COMIRNATY\" already: write"},
		{name: "vaccine's alias, resolved", app: leastApp + `,"vaccines":[{"name":"X","aliases":["COMIRNATY","{env.KYCVS_VACCINE}"],"regimens":[{"doses":2}]}]`, want: "write it once"},
		{name: "vaccine's empty alias", app: leastApp + `,"vaccines":[{"name":"X","aliases":[""],"regimens":[{"doses":2}]}]`, want: "vaccine X alias is empty: write"},
		{name: "vaccine's day, resolved", app: leastApp + `,"vaccines":[{"name":"X","regimens":[{"doses":2}],"from":"{env.KYCVS_VACCINE}"}]`, want: `from "COMIRNATY" is not a date: write`},
		{name: "vaccine's regimen, resolved", app: leastApp + `,"vaccines":[{"name":"X","regimens":[{"doses":2,"since":"{env.KYCVS_FROM}"}]}]`, want: "doses 2 since 2020-12-08 is before 2021-01-16"},
		{name: "vaccine from an unset variable", app: leastApp + `,"vaccines":[{"name":"X","regimens":[{"doses":2}],"aliases":["{env.KYCVS_UNSET}"]}]`, want: "vaccine X alias: evaluated placeholder {env.KYCVS_UNSET} is empty"},
		{name: "remembered_passes", app: leastApp + `,"remembered_passes":-5`, want: "remembered_passes -5 is out of bounds"},
		{name: "partner without id", app: leastApp + `,"partners":[{"purpose":"x"}]`, want: "a partner has no id: write"},
		{name: "partner without purpose", app: leastApp + `,"partners":[{"id":"mall"}]`, want: "purpose is missing: write"},
		{name: "partner twice", app: leastApp + `,"partners":[{"id":"mall","purpose":"x"},{"id":"mall","purpose":"y"}]`, want: `partner "mall" is given twice`},
		{name: "partner's origin", app: leastApp + `,"partners":[{"id":"mall","purpose":"x","origins":["https://a.example/"]}]`, want: "write https://a.example"},
		{name: "partner's purpose with a line break", app: leastApp + `,"partners":[{"id":"mall","purpose":"x\ny"}]`, want: "cannot be shown: write one line"},
		{name: "partner's purpose written backwards", app: leastApp + `,"partners":[{"id":"mall","purpose":"x\u202ey"}]`, want: "cannot be shown: write one line"},

		{name: "gate's level", app: leastApp, gate: `"level":3,"site":["http://mall.example"]`, want: "level 3 is out of bounds: write a whole number from 0 to 2"},
		{name: "gate's level and optional", app: leastApp, gate: leastGate + `,"optional":true`, want: "optional and level 2 contradict each other: write one"},
		{name: "gate without site and partner", app: leastApp, gate: `"level":2`, want: "this gate's site names no host that could be the partner: write"},
		{name: "gate without site and issuer", app: leastApp, gate: `"level":2,"partner":"a","purpose":"Entry"`, want: "names no host that could be the issuer: write `issuer"},
		{name: "gate at a wildcard", app: leastApp, gate: `"level":2,"site":["*.example"]`, want: "write `partner NAME`"},
		{name: "gate at a path", app: leastApp, gate: `"level":2,"site":["mall.example/a"]`, want: "has a path"},
		{name: "gate's unknown partner", app: leastApp, gate: leastGate + `,"partner":"ward"`, want: `partner "ward" is not known: write`},
		{name: "gate's other purpose", app: leastApp + `,"partners":[{"id":"ward","purpose":"Visits"}]`, gate: leastGate + `,"partner":"ward","purpose":"Parking"`, want: "one partner has one purpose"},
		{name: "gate's max_age", app: leastApp, gate: leastGate + `,"max_age":"24h"`, want: "max_age 1d and session 12h contradict each other"},
		{name: "gate's assertion_ttl", app: leastApp, gate: leastGate + `,"assertion_ttl":"2h"`, want: "assertion_ttl 2h is out of bounds"},
		{name: "gate's session", app: leastApp, gate: leastGate + `,"session":-5`, want: "session -5ns is out of bounds"},
		{name: "gate's purpose from an unset variable", app: leastApp, gate: leastGate + `,"purpose":"{env.KYCVS_UNSET}"`, want: "purpose: evaluated placeholder {env.KYCVS_UNSET} is empty"},
		{name: "gate's purpose of the request", app: leastApp, gate: leastGate + `,"purpose":"Entry to {http.request.host}"`, want: "purpose: unrecognized placeholder {http.request.host}"},
		{name: "matcher's level", app: leastApp, matcher: `{"level":3}`, want: "level 3 is out of bounds"},
		{name: "matcher's partner", app: leastApp, matcher: `{"partner":"Mall!"}`, want: "is neither a partner's id nor a host: write"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := validateJSON(t, config(c.app, c.gate, c.matcher))
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && err == nil:
				t.Fatal("was taken")
			case c.want != "" && !strings.Contains(err.Error(), c.want):
				t.Fatalf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestGateNeedsApp(t *testing.T) {
	setUpMachine(t)
	err := validateJSON(t, []byte(`{"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[{"handler":"kycvs","level":2}]}]}}}}}`))
	if err == nil || !strings.Contains(err.Error(), "kycvs is not set up: write the global option") {
		t.Fatal(err)
	}
}

func TestTwoPurposesInJSON(t *testing.T) {
	setUpMachine(t)
	gate := func(purpose string) string {
		return `{"handle":[{"handler":"kycvs","site":["http://a.example"],"partner":"ward","purpose":"` + purpose + `"}]}`
	}
	err := validateJSON(t, []byte(`{"apps":{"kycvs":{`+leastApp+`},"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[`+gate("Visits")+`,`+gate("Parking")+`]}}}}}`))
	if err == nil || !strings.Contains(err.Error(), "one partner has one purpose; write the same one") {
		t.Fatal(err)
	}
}

func TestMatcherNamesPartnerOfNoGate(t *testing.T) {
	a := &App{conf: &App{resolved: true}}
	if err := (&Matcher{Partner: "ward"}).configure(a); err != nil {
		t.Fatal(err)
	}
	if err := a.checkMatchers(); err == nil || !strings.Contains(err.Error(), `"ward", for whom no gate answers`) {
		t.Fatal(err)
	}
	if err := a.known.declare(Partner{ID: "ward", Purpose: "Visits"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := a.checkMatchers(); err != nil {
		t.Fatal(err)
	}
}

// TestResolveKeepsEverything holds that no option is forgotten when the options
// are copied and resolved.
func TestResolveKeepsEverything(t *testing.T) {
	t.Run("app", func(t *testing.T) {
		from := new(App)
		fill(reflect.ValueOf(from).Elem(), "Raw")
		got, err := from.resolve(caddy.NewReplacer())
		if err != nil {
			t.Fatal(err)
		}
		sameExported(t, from, got)
	})
	t.Run("gate", func(t *testing.T) {
		from := &Gate{Level: 2, Partner: "ward", Purpose: "Visits", MaxAge: 1e9, Session: 2e9, AssertionTTL: 1e9,
			PlainStatus: true, LenientPaths: true, Nested: true, Site: []string{"http://mall.example"}}
		if err := from.configure(&App{conf: &App{resolved: true}}); err != nil {
			t.Fatal(err)
		}
		sameExported(t, from, from.conf)
	})
}

// fill gives every exported field a value that is not its zero value, but for
// those whose names end in except.
func fill(v reflect.Value, except string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !strings.HasSuffix(f.Name, except) {
				fill(v.Field(i), except)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), except)
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(v.Kind())
	}
}

func sameExported(t *testing.T, from, got any) {
	t.Helper()
	a, b := reflect.ValueOf(from).Elem(), reflect.ValueOf(got).Elem()
	for i := range a.NumField() {
		f := a.Type().Field(i)
		if f.IsExported() && !strings.HasSuffix(f.Name, "Raw") && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			t.Errorf("%s: got %v, want %v", f.Name, b.Field(i), a.Field(i))
		}
	}
}

func TestDefaults(t *testing.T) {
	a := &App{Partners: []Partner{{ID: "mall", Purpose: "Entry"}}}
	a.fillDefaults()
	got, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"state_grace":900000000000,"stream_grace":10000000000,"sms_languages":["en","hi"],"signing":{"algorithm":"ES256","rotate_every":2592000000000000},` +
		`"otp":{"length":6,"lifetime":180000000000,"attempts":3,"resend_after":30000000000},` +
		`"limits":{"codes_per_mobile":{"count":5,"window":86400000000000},"wrong_per_mobile":{"count":15,"window":86400000000000},` +
		`"codes_per_ip":{"count":60,"window":3600000000000},"codes_total":{"count":1000,"window":60000000000},"countries":[91]},` +
		`"name_match":{"strategy":"exact"},"partners":[{"id":"mall","name":"mall","purpose":"Entry"}],"remembered_passes":100000}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for _, c := range []struct{ session, ttl, wantSession, wantTTL time.Duration }{
		{0, 0, 12 * time.Hour, time.Minute},
		{30 * time.Second, 0, 30 * time.Second, 30 * time.Second},
		{time.Hour, 5 * time.Minute, time.Hour, 5 * time.Minute},
	} {
		g := &Gate{Session: caddy.Duration(c.session), AssertionTTL: caddy.Duration(c.ttl)}
		g.fillDefaults()
		if time.Duration(g.Session) != c.wantSession || time.Duration(g.AssertionTTL) != c.wantTTL {
			t.Errorf("%+v: got %v and %v", c, time.Duration(g.Session), time.Duration(g.AssertionTTL))
		}
	}
}

// TestSecretsStayHidden holds that what a placeholder stands for is nowhere in
// the JSON form of what is provisioned.
func TestSecretsStayHidden(t *testing.T) {
	t.Setenv("KYCVS_SECRET", "a-secret-that-nobody-may-see")
	a := &App{Secret: []string{"{env.KYCVS_SECRET}"}}
	conf, err := a.resolve(caddy.NewReplacer())
	if err != nil {
		t.Fatal(err)
	}
	a.conf = conf
	if conf.Secret[0] != os.Getenv("KYCVS_SECRET") {
		t.Errorf("got %q", conf.Secret)
	}
	s := &HTTPSender{URL: "https://sms.example", Header: http.Header{"Authorization": {"{env.KYCVS_SECRET}"}}, Body: `{"a":{"b":"{env.KYCVS_SECRET}"},"to":"{sms.to}"}`}
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if want := `{"a":{"b":"a-secret-that-nobody-may-see"},"to":"{sms.to}"}`; s.conf.Body != want {
		t.Errorf("body: got %s, want %s", s.conf.Body, want)
	}
	for _, v := range []any{a, s} {
		dump, err := json.Marshal(v)
		if err != nil || strings.Contains(string(dump), "nobody-may-see") {
			t.Errorf("%v %s", err, dump)
		}
	}
}

func TestPartnerFor(t *testing.T) {
	app := &App{conf: &App{resolved: true, Partners: []Partner{{ID: "b.example", Name: "The B", Purpose: "Visits"}}}}
	g := &Gate{Level: 2, Site: []string{"A.example:8080", "b.example"}}
	if err := g.configure(app); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]Partner{
		"a.example": {ID: "a.example", Name: "a.example", Purpose: "Entry to a.example", assumed: true},
		"b.example": {ID: "b.example", Name: "The B", Purpose: "Visits"},
		"c.example": {},
		"":          {},
	} {
		got, ok := g.partnerFor(host)
		if !reflect.DeepEqual(got, want) || ok != (want.ID != "") {
			t.Errorf("%s: got %+v %v", host, got, ok)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Hour: "10h", 48 * time.Hour: "2d", 36 * time.Hour: "36h",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

// A partner's purpose need be said once: gates that say none take it.
func TestPurposeSaidOnce(t *testing.T) {
	said, silent := Partner{ID: "a", Purpose: "Parking"}, Partner{ID: "a", Purpose: "Entry to a", assumed: true}
	for name, order := range map[string][]Partner{"first": {said, silent}, "last": {silent, said}, "never": {silent, silent}} {
		var b partnerBook
		for _, p := range order {
			if err := b.declare(p, ""); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		want := "Parking"
		if name == "never" {
			want = "Entry to a"
		}
		if got := b.purposeOf(silent); got != want {
			t.Errorf("%s: the purpose is %q", name, got)
		}
	}
	var b partnerBook
	_ = b.declare(said, "")
	if err := b.declare(Partner{ID: "a", Purpose: "Dancing"}, ""); err == nil {
		t.Error("two purposes for one partner")
	}
}

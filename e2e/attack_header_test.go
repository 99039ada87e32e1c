package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// Section 3: "No way that HTTP offers lets a client forge, double, rename or
// remove it: a field whose name is or could be read as Kycvs-… once every
// character but letters and digits is dropped, in the header or behind the
// body, on an open route as on a closed one; a name listed in Connection;
// HTTP/1.1, 2 and 3."

// aliases are names that some application reads as one of ours.
var aliases = []string{
	"Kycvs-Assertion", "kycvs-assertion", "KYCVS-ASSERTION", "kYcVs-aSsErTiOn",
	"kycvs_assertion", "Kycvs_Assertion", "KYCVS.Assertion", "Kycvs--Assertion",
	"-Kycvs-Assertion", "_kycvs_assertion", "k-y-c-v-s-assertion", "K.Y_C-V+S|assertion",
	"Kycvs-Assertion-", "KycvsAssertion", "Kycvs~Assertion", "Kycvs'Assertion", "Kycvs`Assertion",
	"!#$%&'*+-.^_`|~kycvs-assertion", "Kycvs-Status", "kycvs_status", "Kycvs-Anything", "Kycvs", "Kycvs-", "kycvs2",
}

func TestForgedHeader(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	for _, protocol := range protocols {
		for _, r := range routes {
			t.Run(protocol+" "+r.name, func(t *testing.T) {
				for _, name := range aliases {
					once := []field{{lower(protocol, name), marker}, {lower(protocol, "X-Own"), "kept"}}
					for attack, fs := range map[string][]field{
						fmt.Sprintf("forged: name like ours (%d spellings)", len(aliases)): once,
						fmt.Sprintf("forged: doubled (%d spellings)", len(aliases)): append(once, field{lower(protocol, name), marker + "-2"},
							field{lower(protocol, "Kycvs-Assertion"), marker + "-3"}),
					} {
						got := a.send(t, protocol, request{host: r.host, path: r.path, cookie: a.cookie(r), fields: fs})
						seen := a.up.take()
						if r.want != shut && len(seen) == 0 {
							t.Errorf("%s `%s`: the request did not arrive: %v", attack, name, got)
							continue
						}
						saw := a.clean(t, r, seen)
						if r.want != shut && seen[0].value("X-Own") != "kept" {
							t.Errorf("%s: the application's own field did not arrive:\n%s", attack, seen[0].head)
						}
						sawUpstream(t, attack, protocol, r.name, summary(saw, got))
					}
				}
				// All at once, many times over.
				var many []field
				for range 5 {
					for _, name := range aliases {
						many = append(many, field{lower(protocol, name), marker})
					}
				}
				got := a.send(t, protocol, request{host: r.host, path: r.path, cookie: a.cookie(r), fields: many})
				sawUpstream(t, "forged: every spelling five times", protocol, r.name, summary(a.clean(t, r, a.up.take()), got))
			})
		}
	}
}

// Names that are none: letters that fold to ours in Unicode, upper case where
// there must be none, pseudo-fields in the wrong place.
func TestMalformedNames(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	names := []string{
		"\u212aycvs-assertion", "Kycv\u017f-Assertion", "Ｋycvs-Assertion", "Kycvs\u2010Assertion", "Kycvs-Assertion\u00a0",
		"Kycvs-Assertion ", " Kycvs-Assertion", "\tKycvs-Assertion", "Kycvs Assertion", "Kycvs\x00-Assertion", "\x00Kycvs-Assertion",
		"Kycvs\r-Assertion", "X: y\r\nKycvs-Assertion", "X: y\nKycvs-Assertion", "X: y\rKycvs-Assertion",
		"Kycvs-Assertion:", ":kycvs-assertion", "(Kycvs-Assertion)", "\"Kycvs-Assertion\"", "Kycvs/Assertion", "Kycvs\\Assertion",
		"", ":path", ":authority", ":status", "Kycvs-Assertion\x7f", "Kycvs\xff-Assertion",
	}
	for _, protocol := range protocols {
		for _, r := range routes {
			t.Run(protocol+" "+r.name, func(t *testing.T) {
				for _, name := range names {
					for _, n := range []string{name, lower(protocol, name)} {
						got := a.send(t, protocol, request{host: r.host, path: r.path, cookie: a.cookie(r), fields: []field{{"x-own", "kept"}, {n, marker}}})
						saw := a.clean(t, r, a.up.take())
						sawUpstream(t, fmt.Sprintf("forged: %d names that are no names (Unicode, control characters, pseudo-fields)", len(names)), protocol, r.name, summary(saw, got))
					}
				}
			})
		}
	}
}

// Values that would begin a line of their own.
func TestInjectedValues(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	values := []string{
		"x\r\nKycvs-Assertion: " + marker, "x\nKycvs-Assertion: " + marker, "x\rKycvs-Assertion: " + marker,
		"x\r\n Kycvs-Assertion: " + marker, "x\x00\r\nKycvs-Assertion: " + marker, "x\u010d\u010aKycvs-Assertion: " + marker,
		"x\x0bKycvs-Assertion: " + marker, "x\u2028Kycvs-Assertion: " + marker, "x\u0085Kycvs-Assertion: " + marker,
	}
	for _, protocol := range protocols[1:] { // in HTTP/1.1 these are just two lines
		for _, r := range routes {
			for _, v := range values {
				for _, name := range []string{"x-own", "cookie", "user-agent", "te", "referer", "x-forwarded-for"} {
					got := a.send(t, protocol, request{host: r.host, path: r.path, cookie: a.cookie(r), fields: []field{{name, v}}})
					saw := a.clean(t, r, a.up.take())
					sawUpstream(t, "forged: line break or NUL in a value", protocol, r.name, summary(saw, got))
				}
			}
			for _, path := range []string{"/open HTTP/1.1\r\nKycvs-Assertion: " + marker + "\r\nX:", "/open\r\nKycvs-Assertion: " + marker, "/open\nKycvs-Assertion:" + marker, "/open?x=\r\nKycvs-Assertion:" + marker} {
				got := a.send(t, protocol, request{host: r.host, path: path, cookie: a.cookie(r)})
				saw := checkClean(t, a.keys, a.up.take(), r.host, wantAt(r, path), a.work.pass(), a.shop.pass())
				sawUpstream(t, "forged: line break in the path", protocol, r.name, summary(saw, got))
			}
			for _, method := range []string{"GET / HTTP/1.1\r\nKycvs-Assertion: " + marker + "\r\nX:", "GET\r\nKycvs-Assertion:", "GET\n"} {
				got := a.send(t, protocol, request{method: method, host: r.host, path: r.path, cookie: a.cookie(r)})
				sawUpstream(t, "forged: line break in the method", protocol, r.name, summary(a.clean(t, r, a.up.take()), got))
			}
		}
	}
}

// wantAt is what a request to another path on the route's site must carry.
func wantAt(r route, path string) int {
	if r.host == "shop.example" {
		return r.want
	}
	if strings.HasPrefix(path, "/ward/") {
		return r.want
	}
	return 0
}

// Lines that only HTTP/1.1 can carry.
func TestRawLines(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	lines := map[string]string{
		"space before the colon":         "Kycvs-Assertion : " + marker + "\r\n",
		"tab before the colon":           "Kycvs-Assertion\t: " + marker + "\r\n",
		"line that begins with a space":  " Kycvs-Assertion: " + marker + "\r\n",
		"folded behind another field":    "X-Own: kept\r\n Kycvs-Assertion: " + marker + "\r\n",
		"folded with a tab":              "X-Own: kept\r\n\tKycvs-Assertion: " + marker + "\r\n",
		"value on a folded line":         "Kycvs-Assertion:\r\n " + marker + "\r\n",
		"bare LF before it":              "X-Own: kept\nKycvs-Assertion: " + marker + "\r\n",
		"bare CR before it":              "X-Own: kept\rKycvs-Assertion: " + marker + "\r\n",
		"CR CR LF before it":             "X-Own: kept\r\r\nKycvs-Assertion: " + marker + "\r\n",
		"bare LF at its end":             "Kycvs-Assertion: " + marker + "\nX-Own: kept\r\n",
		"NUL in the name":                "Kycvs\x00-Assertion: " + marker + "\r\n",
		"NUL in the value":               "Kycvs-Assertion: " + marker + "\x00\r\n",
		"NUL behind another value":       "X-Own: kept\x00\r\nKycvs-Assertion: " + marker + "\r\n",
		"no colon":                       "Kycvs-Assertion\r\n",
		"empty value":                    "Kycvs-Assertion:\r\n",
		"empty name":                     ": Kycvs-Assertion: " + marker + "\r\n",
		"vertical tab before the name":   "\x0bKycvs-Assertion: " + marker + "\r\n",
		"form feed in the name":          "Kycvs\x0c-Assertion: " + marker + "\r\n",
		"empty line with a space":        "X-Own: kept\r\n \r\nKycvs-Assertion: " + marker + "\r\n",
		"Trailer: as a field's name":     "Trailer:Kycvs-Assertion: " + marker + "\r\n",
		"10,000 bytes before the colon":  strings.Repeat("-", 10000) + "Kycvs-Assertion: " + marker + "\r\n",
		"500 lines":                      strings.Repeat("Kycvs-Assertion: "+marker+"\r\n", 500),
		"UTF-8 byte order mark before":   "\ufeffKycvs-Assertion: " + marker + "\r\n",
		"high bit in the name":           "K\xf9cvs-Assertion: " + marker + "\r\n",
		"line of Connection and forging": "Connection: keep-alive\r\nKycvs-Assertion: " + marker + "\r\n",
	}
	for name, lines := range lines {
		for _, r := range routes {
			for _, first := range []bool{false, true} {
				t.Run(name+" "+r.name, func(t *testing.T) {
					head := "Host: " + a.authority(r.host) + "\r\n"
					if c := a.cookie(r); c != "" {
						head += "Cookie: " + c + "\r\n"
					}
					if first { // right behind the request line
						head = lines + head
					} else {
						head += "X-Own: kept\r\n" + lines
					}
					c := a.dialTLS(t, r.host, "http/1.1")
					defer c.Close()
					got := exchange1(c, "GET "+r.path+" HTTP/1.1\r\n"+head+"\r\n", "GET")
					saw := a.clean(t, r, a.up.take())
					sawUpstream(t, "raw line: "+name, http1, r.name, summary(saw, got))
				})
			}
		}
	}
}

// Fields that lie behind the body. (Over HTTP/3, Caddy v2.11 hands no trailer
// on, an application's own neither.)
func TestForgedTrailer(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	kept := field{"X-Checksum", "kept"}
	for _, protocol := range protocols {
		for _, r := range routes {
			t.Run(protocol+" "+r.name, func(t *testing.T) {
				for _, name := range aliases {
					forged := field{lower(protocol, name), marker}
					benign := field{lower(protocol, kept.name), kept.value}
					for _, c := range []struct {
						attack    string
						announced string
						trailers  []field
						want      bool // the benign trailer must arrive
					}{
						{"trailer like ours, announced", name + ", X-Checksum", []field{forged, benign}, true},
						{"trailer like ours, not announced", "X-Checksum", []field{forged, benign}, true},
						{"trailer like ours, nothing announced", "", []field{benign, forged}, false},
						{"trailer like ours, announced, in the header too", name, []field{forged}, false},
						{"trailer like ours, announced only", name, []field{benign}, false},
					} {
						var fs []field
						if c.announced != "" {
							fs = append(fs, field{lower(protocol, "Trailer"), c.announced})
						}
						if strings.HasSuffix(c.attack, "too") {
							fs = append(fs, forged)
						}
						for _, body := range []string{"some body", ""} { // HTTP/1.1 alone can put fields behind no body
							if body == "" && protocol != http1 {
								continue
							}
							got := a.send(t, protocol, request{host: r.host, path: r.path, cookie: a.cookie(r), fields: fs, body: body, trailers: c.trailers})
							seen := a.up.take()
							if r.want != shut && len(seen) == 0 {
								t.Errorf("%s `%s`: the request did not arrive: %v", c.attack, name, got)
								continue
							}
							saw := a.clean(t, r, seen)
							sawUpstream(t, c.attack, protocol, r.name, summary(saw, got))
							if r.want == shut {
								continue
							}
							if string(seen[0].body) != body {
								t.Errorf("%s: body %q at the upstream, want %q", c.attack, seen[0].body, body)
							}
							if vs := valuesOf(seen[0].trailers, kept.name); c.want && protocol != http3 && (len(vs) != 1 || vs[0] != kept.value) {
								t.Errorf("%s: the application's own trailer did not arrive: %v", c.attack, seen[0].trailers)
							}
						}
					}
				}
			})
		}
	}
}

// Connection makes a proxy drop what it lists (RFC 9110, section 7.6.1).
func TestConnectionNamesTheHeader(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	for name, lines := range map[string][]field{
		"Connection: Kycvs-Assertion":             {{"Connection", "Kycvs-Assertion"}},
		"Connection: close, kycvs-assertion":      {{"Connection", "close, kycvs-assertion"}},
		"Connection in three lines":               {{"Connection", "keep-alive"}, {"Connection", "KYCVS-ASSERTION"}, {"connection", "x-own,Kycvs-Assertion"}},
		"Connection with odd spacing":             {{"Connection", " ,\t, Kycvs-Assertion\t,,"}},
		"Connection with quotes":                  {{"Connection", `"Kycvs-Assertion"`}},
		"Connection with a semicolon":             {{"Connection", "Kycvs-Assertion;close"}},
		"Connection with an alias":                {{"Connection", "kycvs_assertion, Kycvs.Assertion, kycvs"}},
		"Connection: Kycvs-Status":                {{"Connection", "Kycvs-Status"}},
		"Connection 500 times":                    {{"Connection", strings.Repeat("Kycvs-Assertion,", 500)}},
		"Connection: upgrade and the header":      {{"Connection", "upgrade, Kycvs-Assertion"}, {"Upgrade", "websocket"}},
		"Connection: Trailer, TE, Content-Length": {{"Connection", "Trailer, TE, Content-Length, Host, Kycvs-Assertion"}},
		"Proxy-Connection: Kycvs-Assertion":       {{"Proxy-Connection", "Kycvs-Assertion"}},
		"Keep-Alive: Kycvs-Assertion":             {{"Keep-Alive", "Kycvs-Assertion"}},
		"TE: Kycvs-Assertion":                     {{"TE", "Kycvs-Assertion, trailers"}},
		"Connection: \\x0bKycvs-Assertion":        {{"Connection", "\x0bKycvs-Assertion"}},
		"Connection with a no-break space":        {{"Connection", "\u00a0Kycvs-Assertion\u00a0, \u2003Kycvs-Assertion"}},
		"Connection: Cookie":                      {{"Connection", "Cookie"}},
		"Connection: Connection, Kycvs-Assertion": {{"Connection", "Connection"}, {"Connection", "Kycvs-Assertion"}},
	} {
		for _, r := range routes {
			t.Run(name+" "+r.name, func(t *testing.T) {
				got := a.send(t, http1, request{host: r.host, path: r.path, cookie: a.cookie(r), fields: append(lines, field{"Kycvs-Assertion", marker})})
				seen := a.up.take()
				saw := checkClean(t, a.keys, seen, r.host, r.want, a.work.pass(), a.shop.pass())
				if r.want != shut && len(seen) == 0 && got.status != 400 {
					t.Errorf("the request did not arrive: %v", got)
				}
				sawUpstream(t, "`"+name+"`", http1, r.name, summary(saw, got))
			})
		}
	}
	// RFC 9113, section 8.2.2: there is no Connection in HTTP/2, nor in HTTP/3.
	for _, protocol := range protocols[1:] {
		for _, r := range routes {
			for _, fs := range [][]field{{{"connection", "kycvs-assertion"}}, {{"te", "kycvs-assertion"}}, {{"keep-alive", "kycvs-assertion"}}, {{"proxy-connection", "kycvs-assertion"}}, {{"transfer-encoding", "chunked"}}, {{"upgrade", "h2c"}}} {
				got := a.send(t, protocol, request{host: r.host, path: r.path, cookie: a.cookie(r), fields: fs})
				saw := a.clean(t, r, a.up.take())
				sawUpstream(t, "`"+fs[0].name+"` where there is none", protocol, r.name, summary(saw, got))
			}
		}
	}
}

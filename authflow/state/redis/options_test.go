package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestOptions(t *testing.T) {
	good := func(c Config) Config { return c }
	for _, c := range []struct {
		name string
		cfg  Config
		want string // part of the error; "" if it is to be taken
	}{
		{"one", good(Config{URLs: []string{"redis://a"}}), ""},
		{"everything", Config{URLs: []string{"rediss://u:p@a:1234/5"}, Prefix: "a-b.C_9:", TLS: &TLS{}}, ""},
		{"cluster", Config{URLs: []string{"redis://u:p@a", "redis://b"}}, ""},
		{"sentinel", Config{URLs: []string{"redis://a/2", "redis://b/2"}, Sentinel: "m", Password: "p", SentinelPassword: "q"}, ""},
		{"IPv6", Config{URLs: []string{"redis://[::1]:6379"}}, ""},
		{"socket", Config{URLs: []string{"unix:///run/redis.sock?db=3"}}, ""},

		{"none", Config{}, "there is no URL: write"},
		{"unreadable", Config{URLs: []string{"redis://secret:sec/ret@a:b"}}, "the URL cannot be read: write"},
		{"second unreadable", Config{URLs: []string{"redis://a", "redis://secret:sec%ret@a"}}, "URL 2 cannot be read: write"},
		{"scheme", Config{URLs: []string{"http://secret"}}, "begins with another word"},
		{"no scheme", Config{URLs: []string{"secret:6379"}}, "begins with another word"},
		{"no host", Config{URLs: []string{"redis://"}}, "names no host"},
		{"query", Config{URLs: []string{"redis://a?secret=1"}}, "behind ?"},
		{"skip_verify", Config{URLs: []string{"rediss://a?skip_verify=true"}}, "behind ?"},
		{"socket's query", Config{URLs: []string{"unix:///a?db=1&secret=1"}}, "more behind ? than db"},
		{"socket in a cluster", Config{URLs: []string{"unix:///a", "unix:///b"}}, "one server alone"},
		{"database", Config{URLs: []string{"redis://a/secret"}}, "cannot be read"},
		{"cluster's database", Config{URLs: []string{"redis://a/1"}, Cluster: true}, "one database"},
		{"other password", Config{URLs: []string{"redis://:secret@a", "redis://:secret2@b"}}, "URL 2 has another user or password"},
		{"other scheme", Config{URLs: []string{"redis://a", "rediss://b"}}, "URL 2 has another scheme"},
		{"both", Config{URLs: []string{"redis://a"}, Cluster: true, Sentinel: "m"}, "contradict"},
		{"prefix", Config{URLs: []string{"redis://a"}, Prefix: "a{b}"}, "cannot begin a key: write"},
		{"long prefix", Config{URLs: []string{"redis://a"}, Prefix: strings.Repeat("a", 33)}, "cannot begin a key: write"},
		{"sentinel_password", Config{URLs: []string{"redis://a"}, SentinelPassword: "secret"}, "without sentinel: write"},
		{"key", Config{URLs: []string{"redis://a"}, TLS: &TLS{KeyFile: "k"}}, "write `cert FILE KEY`"},
		{"ca", Config{URLs: []string{"redis://a"}, TLS: &TLS{CAFile: "nowhere.pem"}}, "ca nowhere.pem cannot be read"},
		{"cert", Config{URLs: []string{"redis://a"}, TLS: &TLS{CertFile: "nowhere.pem", KeyFile: "k"}}, "cert nowhere.pem cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(c.cfg)
			switch {
			case err == nil && c.want == "":
				s.Close()
			case err == nil:
				s.Close()
				t.Fatal("was taken")
			case c.want == "" || !strings.Contains(err.Error(), c.want):
				t.Fatalf("got %v, want %q", err, c.want)
			case strings.Contains(err.Error(), "secret"):
				t.Errorf("says what it must not: %v", err)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		name                         string
		cfg                          Config
		user, password, sUser, sPass string
	}{
		{"URL", Config{URLs: []string{"redis://u:p@a"}}, "u", "p", "", ""},
		{"options first", Config{URLs: []string{"redis://u:p@a"}, Username: "v", Password: "q"}, "v", "q", "", ""},
		{"sentinel's URL", Config{URLs: []string{"redis://u:p@a"}, Sentinel: "m", Password: "q"}, "", "q", "u", "p"},
		{"sentinel_password", Config{URLs: []string{"redis://u:p@a"}, Sentinel: "m", SentinelPassword: "r"}, "", "", "u", "r"},
		{"escaped", Config{URLs: []string{"redis://:p%2F%3F%23%40@a"}}, "", "p/?#@", "", ""},
	} {
		o, err := options(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if o.Username != c.user || o.Password != c.password || o.SentinelUsername != c.sUser || o.SentinelPassword != c.sPass {
			t.Errorf("%s: got %q %q, %q %q", c.name, o.Username, o.Password, o.SentinelUsername, o.SentinelPassword)
		}
	}
}

func TestEvictionPolicies(t *testing.T) {
	for info, want := range map[string]string{
		"": "", "maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n": "",
		"# Memory\r\nmaxmemory:1000\r\nmaxmemory_policy:noeviction\r\n":   "",
		"# Memory\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n":  "allkeys-lru",
		"# Memory\r\nmaxmemory:1000\r\nmaxmemory_policy:volatile-ttl\r\n": "volatile-ttl",
	} {
		if got := evicts(info); got != want {
			t.Errorf("%q: got %q, want %q", info, got, want)
		}
	}
}

// said is an error as Redis says it.
type said string

func (s said) Error() string { return string(s) }
func (said) RedisError()     {}

// TestErrorsSayNoSecret has errors that repeat what was sent.
func TestErrorsSayNoSecret(t *testing.T) {
	s := &Store{secrets: []string{"sesame", ""}}
	for _, c := range []struct {
		err  error
		want string
	}{
		{said("ERR unknown command 'HELLO', with args beginning with: '2' 'AUTH' 'default' 'sesame' "), "state redis: ERR unknown command 'HELLO'"},
		{said("ERR what is sesame"), "state redis: ERR: what it said repeats the password and is left out"},
		{errors.New("dialing redis://:sesame@a"), "state redis: dialing: what it said repeats the password and is left out"},
		{said("WRONGPASS invalid username-password pair or user is disabled."), "state redis: WRONGPASS invalid username-password pair or user is disabled.: check username and password"},
		{io.EOF, "state redis: closed the connection"},
		{context.DeadlineExceeded, "state redis: did not answer in time"},
		{redis.ErrPoolTimeout, "state redis: did not answer in time"},
		{&net.DNSError{Err: "no such host", Name: "sesame"}, "state redis: its address cannot be found: no such host"},
	} {
		if got := s.failed(c.err).Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Minute: 60_000} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v: got %d, want %d", d, got, want)
		}
	}
}

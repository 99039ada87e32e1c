package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestDSN(t *testing.T) {
	for _, c := range []struct {
		name, dsn string
		hosts     string
		conns     int32
		dial      time.Duration
		check     func(*servers) bool
	}{
		{name: "one", dsn: "postgres://u:p@db/k?sslmode=require", hosts: "db:5432", conns: DefaultMaxConns, dial: time.Second},
		{name: "several", dsn: "postgres://u:p@a:1,b:2,[::1]:3/k?sslmode=disable", hosts: "a:1 b:2 [::1]:3", conns: DefaultMaxConns, dial: time.Second},
		{name: "keywords", dsn: "host=a,b port=1,2 user=u password='p w' dbname=k sslmode=verify-full connect_timeout=4 pool_max_conns=5",
			hosts: "a:1 b:2", conns: 5, dial: 4 * time.Second},
		{name: "a socket", dsn: "host=/run/postgresql user=u dbname=k", hosts: "/run/postgresql:5432", conns: DefaultMaxConns, dial: time.Second},
		{name: "two ways to each", dsn: "postgres://u:p@a:1,b:2/k?sslmode=prefer", hosts: "a:1 b:2", conns: DefaultMaxConns, dial: time.Second,
			check: func(s *servers) bool {
				one := s.read[1].ConnConfig
				return one.TLSConfig != nil && len(one.Fallbacks) == 1 && one.Fallbacks[0].TLSConfig == nil && inTheClear(s.read[1])
			}},
		{name: "prefer-standby", dsn: "postgres://u:p@a,b/k?target_session_attrs=prefer-standby&sslmode=verify-full", hosts: "a:5432 b:5432", conns: DefaultMaxConns, dial: time.Second,
			check: func(s *servers) bool {
				return s.preferStandby && s.read[0].ConnConfig.ValidateConnect == nil && !inTheClear(s.read[0])
			}},
		{name: "primary", dsn: "postgres://u:p@a,b/k?target_session_attrs=primary", hosts: "a:5432 b:5432", conns: DefaultMaxConns, dial: time.Second,
			check: func(s *servers) bool { return !s.preferStandby && s.read[1].ConnConfig.ValidateConnect != nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseDSN(c.dsn, 0)
			if err != nil {
				t.Fatal(err)
			}
			var hosts []string
			for i, one := range s.read {
				hosts = append(hosts, address(one))
				if one.MaxConns != c.conns || one.ConnConfig.ConnectTimeout != c.dial {
					t.Errorf("%d connections, %v", one.MaxConns, one.ConnConfig.ConnectTimeout)
				}
				w := s.write[i].ConnConfig
				if w.Host != one.ConnConfig.Host || fmt.Sprintf("%p", w.ValidateConnect) != fmt.Sprintf("%p", pgconn.ValidateConnectTargetSessionAttrsReadWrite) {
					t.Errorf("writes to %s, whatever it is", w.Host)
				}
			}
			if got := strings.Join(hosts, " "); got != c.hosts {
				t.Errorf("hosts %s", got)
			}
			if c.check != nil && !c.check(s) {
				t.Errorf("%+v", s.read[0].ConnConfig)
			}
		})
	}
	if s, err := parseDSN("postgres://u:p@db/k?pool_max_conns=5", 7); err != nil || s.read[0].MaxConns != 7 {
		t.Errorf("Config.MaxConns: %v", err)
	}
}

// No part of a DSN that could be its password is in an error or a log.
func TestPasswordIsNowhere(t *testing.T) {
	t.Setenv("PGCONNECT_TIMEOUT", "1")
	for _, dsn := range []string{
		"",
		"postgres://kycvs:tops3cret",
		"postgres://kycvs:tops3cret@",
		"postgres://kycvs:tops3cret@127.0.0.1:1/k?sslmode=disable",
		"postgres://kycvs:tops3cret@127.0.0.1:1,127.0.0.1:2/k?sslmode=disable",
		"postgres://kycvs:tops3cret@nowhere.invalid/k",
		"postgres://kycvs:x/tops3cret@db/k",
		"postgres://kycvs:12/tops3cret@db/k",
		"postgres://kycvs:x#tops3cret@db/k",
		"postgres://kycvs:x?tops3cret@db/k",
		"postgres://kycvs:%tops3cret@db/k",
		"postgres://kycvs:tops3cret@db:port/k",
		"postgres://kycvs:tops3cret@db/k?sslmode=tops3cret",
		"postgres://kycvs:tops3cret@db/k?pool_max_conns=many",
		"postgres://kycvs:tops3cret@db/k?sslrootcert=/nowhere.pem&sslmode=verify-full",
		"host=db password=tops3cret user",
		"host=db password='tops3cret",
		"tops3cret",
		"mysql://kycvs:tops3cret@db/k",
	} {
		var log safeBuffer
		config := Config{DSN: dsn, Secrets: [][]byte{secret}, Timeout: 300 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		r, err := Open(ctx, config)
		if err == nil {
			err = r.Ready(ctx)
			r.Close()
		}
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(log.String(), "s3cret") {
			t.Errorf("%s: %v\n%s", dsn, err, log.String())
		}
		w, err := NewWriter(config)
		if err == nil {
			_, err = w.Begin(ctx, true)
		}
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: an import: %v", dsn, err)
		}
		cancel()
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	right := database(t)
	wrong := strings.Replace(right, ":kycvs@", ":tops3cret@", 1)
	if wrong == right {
		t.Skip("KYCVS_TEST_POSTGRES has another password than CI's")
	}
	for _, dsn := range []string{wrong, strings.Replace(right, "/postgres?", "/nowhere?", 1)} {
		_, err := Open(t.Context(), Config{DSN: dsn, Secrets: [][]byte{secret}})
		if err == nil || !strings.Contains(err.Error(), "SQLSTATE") || strings.Contains(err.Error(), "tops3cret") {
			t.Errorf("got %v", err)
		}
	}
}

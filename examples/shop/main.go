// Command shop is a demonstration: it sells train tickets to travellers who are
// fully vaccinated, and asks an authority for that in each of the three ways
// there are: in a frame, by redirect, and by API. README.md beside it has the two
// commands that start everything.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "127.0.0.1:9091", "the address to serve at")
	var c Config
	flag.StringVar(&c.Origin, "origin", "http://127.0.0.1:9091", "where browsers find the shop, as it is registered for the partner")
	flag.StringVar(&c.Authority, "authority", "http://localhost:9090", "where browsers and this program find the authority")
	flag.StringVar(&c.Issuer, "issuer", "", "who signs the authority's assertions (default: the authority's address)")
	flag.StringVar(&c.Partner, "partner", "rail", "the partner's id at the authority")
	flag.Parse()
	if c.Key = os.Getenv("KYCVS_KEY"); c.Key == "" {
		log.Fatal("shop: KYCVS_KEY is not set: it is the `key` that `caddy kycvs partner-key` printed")
	}
	shop, err := New(c)
	if err != nil {
		log.Fatal("shop: ", err)
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal("shop: ", err)
	}
	fmt.Fprintln(os.Stderr, "the shop is open at", c.Origin)
	srv := &http.Server{Handler: shop, ReadHeaderTimeout: 5 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal("shop: ", err)
	}
}

// Config says where the shop and its authority are.
type Config struct {
	Origin, Authority, Issuer, Partner, Key string
}

func (c *Config) check() error {
	for name, at := range map[string]string{"origin": c.Origin, "authority": c.Authority} {
		if strings.HasSuffix(at, "/") || !strings.HasPrefix(at, "http://") && !strings.HasPrefix(at, "https://") {
			return fmt.Errorf("-%s is %q: write scheme and host without a path, like https://kyc.example", name, at)
		}
	}
	if c.Issuer == "" {
		c.Issuer = c.Authority
	}
	return nil
}

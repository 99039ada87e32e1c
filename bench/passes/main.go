// Command passes makes valid passes for bench/gate by the million, which no
// handshake could within the limits: it seals them with the secret that the
// bench gives the gate. And it shows each of them to the gate once, so that the
// bench measures passes that are in use.
//
//	passes make -n 1000000 -site localhost -partner bench -purpose Benchmark > cookies
//	passes show -url http://localhost:8080/ < cookies
//
// The secret comes from KYCVS_SECRET. A file of cookies holds one Cookie field's
// value per line, all of the same length.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/pass"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("passes: ")
	if len(os.Args) < 2 {
		log.Fatal("say what to do: make or show")
	}
	var err error
	switch command, args := os.Args[1], os.Args[2:]; command {
	case "make":
		err = makePasses(args, os.Stdout)
	case "show":
		err = showPasses(args, os.Stdin)
	default:
		err = fmt.Errorf("%q is unknown: write make or show", command)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// makePasses writes the cookies of browsers that each hold one pass, status 2,
// given now and good for twelve hours.
func makePasses(args []string, to io.Writer) error {
	flags := flag.NewFlagSet("make", flag.ExitOnError)
	n := flags.Int("n", 1000, "how many")
	cookies := flags.String("cookies", "", "other cookies to put before the pass, as `name=value`")
	var scope pass.Scope
	flags.StringVar(&scope.Site, "site", "localhost", "the site's host")
	flags.StringVar(&scope.Partner, "partner", "", "the gate's partner")
	flags.StringVar(&scope.Purpose, "purpose", "", "the partner's purpose")
	flags.Parse(args)
	secret := os.Getenv("KYCVS_SECRET")
	if secret == "" {
		return errors.New("KYCVS_SECRET is not set: set it to the gate's secret")
	}
	keys := authflow.NewSecret([]byte(secret))
	sealer, whole := pass.NewSealer(keys.Keys("pass"), scope), pass.NewWhole(keys.Keys("cookie"))

	before := ""
	if *cookies != "" {
		before = *cookies + "; "
	}
	out := bufio.NewWriterSize(to, 1<<20)
	now := time.Now()
	for range *n {
		var jar pass.Jar
		jar.NewBrowser()
		jar.Put(sealer, sealer.Seal(newPass(now)))
		c := jar.Cookie(whole, false, time.Hour)
		fmt.Fprintf(out, "%s%s=%s\n", before, c.Name, c.Value)
	}
	return out.Flush()
}

func newPass(now time.Time) pass.Pass {
	p := pass.Pass{Status: 2, AuthTime: now.Unix(), Expires: now.Add(12 * time.Hour).Unix()}
	rand.Read(p.Subject[:])
	rand.Read(p.Consent[:])
	rand.Read(p.TxnID[:])
	return p
}

// showPasses sends one request with each cookie; the first that is not let
// through is an error.
func showPasses(args []string, from io.Reader) error {
	flags := flag.NewFlagSet("show", flag.ExitOnError)
	url := flags.String("url", "", "the gate's address")
	clients := flags.Int("clients", 64, "how many at a time")
	flags.Parse(args)

	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: *clients, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	cookies := make(chan string, *clients)
	var wg sync.WaitGroup
	for range *clients {
		wg.Go(func() {
			for c := range cookies {
				if err := show(ctx, client, *url, c); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	lines := bufio.NewScanner(from)
	for lines.Scan() && ctx.Err() == nil {
		select {
		case cookies <- lines.Text():
		case <-ctx.Done():
		}
	}
	close(cookies)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return lines.Err()
}

func show(ctx context.Context, client *http.Client, url, cookie string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header["Cookie"] = []string{cookie}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the gate answered %d to a pass that should be valid: are site, partner, purpose and secret the gate's?", resp.StatusCode)
	}
	return nil
}

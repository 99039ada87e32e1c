// Command upstream is what stands behind both proxies in bench/gate: it answers
// every request with 200 and a short body. So that the bench can have a pass
// without a phone, it also takes the text messages that `sms http` posts.
//
//	GET  /seen       how many bytes of cookie and assertion reached it
//	POST /sms        a text message, as section 6 of the contract posts it
//	GET  /sms/code   the code in the last one
//	     /…          "ok"
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync/atomic"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("upstream: ")
	listen := flag.String("listen", "127.0.0.1:9000", "address to listen at")
	flag.Parse()
	log.Fatal(http.ListenAndServe(*listen, handler()))
}

func handler() http.Handler {
	var code atomic.Value // string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /seen", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "cookie %d assertion %d\n", size(r.Header["Cookie"]), size(r.Header["Kycvs-Assertion"]))
	})
	mux.HandleFunc("POST /sms", func(w http.ResponseWriter, r *http.Request) {
		c, err := readCode(http.MaxBytesReader(w, r.Body, 1<<16))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		code.Store(c)
	})
	mux.HandleFunc("GET /sms/code", func(w http.ResponseWriter, r *http.Request) {
		c, ok := code.Load().(string)
		if !ok {
			http.Error(w, "no message yet", http.StatusNotFound)
			return
		}
		io.WriteString(w, c)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "ok\n")
	})
	return mux
}

// readCode returns the code of a message.
func readCode(body io.Reader) (string, error) {
	var message struct {
		Code string `json:"code"`
	}
	if err := json.NewDecoder(body).Decode(&message); err != nil {
		return "", fmt.Errorf("the message is not JSON: %w", err)
	}
	if message.Code == "" {
		return "", errors.New("the message has no code")
	}
	return message.Code, nil
}

func size(values []string) int { return len(strings.Join(values, "")) }

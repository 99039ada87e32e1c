package keyring

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// stored is a document with two keys, one that signs and one that will.
func stored(t testing.TB) string {
	t.Helper()
	d := document{Version: version, Plan: Config{Algorithm: jose.EdDSA, RotateEvery: 10 * time.Hour}.plan()}
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 2 {
		key, err := makeKey(jose.EdDSA)
		if err != nil {
			t.Fatal(err)
		}
		d.Keys = append(d.Keys, entry{Created: at, SignsFrom: at, Key: key})
		at = at.Add(10 * time.Hour)
	}
	raw, err := json.MarshalIndent(&d, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// corruptions are what a document must not be; each with a word of the message.
func corruptions(t testing.TB) map[string]struct{ text, says string } {
	good := stored(t)
	swap := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("no %s in the document", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	var d document
	if err := json.Unmarshal([]byte(good), &d); err != nil {
		t.Fatal(err)
	}
	again := func(change func(d *document)) string {
		c := d
		c.Keys = append([]entry(nil), d.Keys...)
		change(&c)
		raw, err := json.Marshal(&c)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	const restore = "restore it from a backup"
	return map[string]struct{ text, says string }{
		"empty":              {"", restore},
		"blank":              {" \n", restore},
		"cut short":          {good[:len(good)/2], restore},
		"zeros":              {strings.Repeat("\x00", 100), restore},
		"an array":           {"[]", restore},
		"null":               {"null", restore},
		"an empty object":    {"{}", restore},
		"something after it": {good + "{}", restore},
		"two":                {good + good, restore},
		"a newer version":    {swap(`"version": 1`, `"version": 2`), "newer version"},
		"version 0":          {swap(`"version": 1`, `"version": 0`), restore},
		"an unknown member":  {swap(`"version": 1`, `"version": 1, "more": 1`), restore},
		"a member missing":   {swap(`"created"`, `"Create"`), restore},
		"no plan":            {again(func(d *document) { d.Plan = plan{} }), "plan"},
		"a plan with none":   {swap(`"algorithm": "EdDSA"`, `"algorithm": "none"`), "plan"},
		"publish too long":   {swap(`"publish": "1h0m0s"`, `"publish": "6h"`), "plan"},
		"no duration":        {swap(`"publish": "1h0m0s"`, `"publish": "soon"`), restore},
		"a number":           {swap(`"publish": "1h0m0s"`, `"publish": 3600`), restore},
		"no time":            {swap(`"2000-01-01T00:00:00Z"`, `"yesterday"`), restore},
		"rotates too fast":   {swap(`"rotate_every": "10h0m0s"`, `"rotate_every": "1ms"`), "plan"},
		"a bare revocation":  {again(func(d *document) { d.Revoked = []revocation{{KeyID: "abc"}} }), "revocation 1 of 1"},
		"out of order":       {again(func(d *document) { d.Keys[0], d.Keys[1] = d.Keys[1], d.Keys[0] }), "key 2 of 2"},
		"twice":              {again(func(d *document) { d.Keys[1].Key = d.Keys[0].Key }), "key 2 of 2"},
		"a public key":       {again(func(d *document) { d.Keys[1].Key = d.Keys[1].Key.Public() }), "key 2 of 2"},
		"a secret":           {again(func(d *document) { d.Keys[1].Key = jose.JSONWebKey{Key: []byte("secret")} }), "key 2 of 2"},
		"another's kid":      {again(func(d *document) { d.Keys[1].Key.KeyID = "mine" }), "key 2 of 2"},
		"another's alg":      {again(func(d *document) { d.Keys[1].Key.Algorithm = "ES256" }), "key 2 of 2"},
		"a damaged key":      {swap(`"d": "`, `"d": "A`), restore},
		"no key in it":       {swap(`"kty": "OKP"`, `"kty": "XYZ"`), restore},
	}
}

func TestParse(t *testing.T) {
	if _, err := parse([]byte(stored(t)), nil); err != nil {
		t.Fatal(err)
	}
	for name, c := range corruptions(t) {
		_, err := parse([]byte(c.text), nil)
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), storageKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What cannot be read is never written over, and a ring that runs goes on.
func TestCorruptIsLeftAlone(t *testing.T) {
	for name, c := range corruptions(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, log := newMemory(), &journal{}
				cfg := Config{Storage: store, Algorithm: jose.EdDSA, RotateEvery: 10 * time.Hour, Publish: 20 * time.Second, Logger: log.logger()}
				running := start(t, cfg)
				id, good := kid(t, running), store.text()
				store.set(func() { store.values[storageKey] = []byte(c.text) })

				fresh := Open(cfg)
				defer fresh.Close()
				if err := fresh.Start(t.Context()); !errors.Is(err, ErrCorrupt) {
					t.Errorf("Start: %v", err)
				}
				if _, err := fresh.Signer(); !errors.Is(err, ErrNotReady) {
					t.Errorf("Signer: %v", err)
				}
				if err := running.Reconfigure(jose.ES256, 0, 0); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if kid(t, running) != id {
					t.Error("the running one changed its key")
				}
				if store.text() != c.text || store.stores != 1 {
					t.Error("written over")
				}
				if !strings.Contains(log.String(), "cannot be read") {
					t.Error("not logged")
				}

				store.set(func() { store.values[storageKey] = []byte(good) })
				time.Sleep(2 * time.Minute)
				if s, _ := running.Signer(); s.Algorithm() != jose.ES256 {
					t.Error("did not go on when it was restored")
				}
			})
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(stored(f))
	for _, c := range corruptions(f) {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parse([]byte(text), nil)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("got %v", err)
			}
			return
		}
		raw, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(raw, d.signers())
		if err != nil || !reflect.DeepEqual(again.public(), d.public()) || again.Plan != d.Plan {
			t.Errorf("not the same when written and read: %v", err)
		}
		for _, key := range d.public().Keys {
			if !key.IsPublic() {
				t.Error("a private key in the public set")
			}
		}
	})
}

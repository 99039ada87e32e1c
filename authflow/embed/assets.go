package embed

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"time"
)

//go:embed assets
var files embed.FS

// asset is a file that is the same for everybody.
type asset struct {
	body, kind []byte
	etag       string
	keep       string // Cache-Control
	version    string // for an address that changes with the content
}

// assets by their paths.
var assets = map[string]*asset{
	// A site keeps embed.js for an hour and asks again by the ETag: long enough
	// to cost nothing, short enough for a correction.
	scriptPath:              newAsset("embed.js", "text/javascript; charset=utf-8", "public, max-age=3600"),
	framePath + "frame.js":  newAsset("frame.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
	framePath + "frame.css": newAsset("frame.css", "text/css; charset=utf-8", "public, max-age=31536000, immutable"),
}

func newAsset(name, kind, keep string) *asset {
	body, err := files.ReadFile("assets/" + name)
	if err != nil {
		panic("embed: " + err.Error()) // the file is built in
	}
	sum := sha256.Sum256(body)
	version := base64.RawURLEncoding.EncodeToString(sum[:9])
	return &asset{body: body, kind: []byte(kind), etag: `"` + version + `"`, keep: keep, version: version}
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", string(a.kind))
	h.Set("Cache-Control", a.keep)
	h.Set("ETag", a.etag)
	h.Set("X-Content-Type-Options", "nosniff")
	// A page may ask for it with crossorigin and integrity, and one that lets in
	// only what agrees to it (Cross-Origin-Embedder-Policy) may have it too.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

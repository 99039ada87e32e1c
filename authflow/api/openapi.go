package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// document is the description of the API, OpenAPI 3.1. Its test calls each call
// in it and holds requests and answers to its schemas.
//
//go:embed openapi.json
var document []byte

// Document returns the description of the API.
func Document() []byte { return bytes.Clone(document) }

var documentTag = sync.OnceValue(func() string {
	sum := sha256.Sum256(document)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
})

// serveDocument answers GET /openapi.json. It says nothing secret, so any page may
// read it.
func serveDocument(w http.ResponseWriter, r *http.Request) {
	if !onlyGet(w, r) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("ETag", documentTag())
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(document))
}

func onlyGet(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	w.WriteHeader(http.StatusMethodNotAllowed)
	return false
}

// The part of the document that the page shows.
type (
	described struct {
		Info struct {
			Title, Version, Description string
		}
		Paths      map[string]map[string]describedCall
		Components struct {
			Schemas   map[string]describedSchema
			Responses map[string]describedAnswer
		}
	}
	describedCall struct {
		OperationID string
		Summary     string
		Description string
		Security    []map[string][]string
		Parameters  []struct {
			Name, In, Description string
			Required              bool
		}
		RequestBody struct {
			Content map[string]describedMedia
		}
		Responses map[string]describedAnswer
	}
	describedAnswer struct {
		Ref         string `json:"$ref"`
		Description string
		Content     map[string]describedMedia
	}
	describedMedia struct {
		Schema   describedSchema
		Examples map[string]struct{ Value json.RawMessage }
	}
	describedSchema struct {
		Ref         string `json:"$ref"`
		Description string
		Required    []string
		Properties  map[string]describedSchema
	}
)

//go:embed page.html
var pageText string

// page is the description for people, made once.
var page = sync.OnceValues(func() ([]byte, error) {
	var d described
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, err
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, d.shown())
	return out.Bytes(), err
})

type (
	shownPage struct {
		Title, Version string
		Description    []string
		Calls          []shownCall
	}
	shownCall struct {
		Name, Method, Path, Summary string
		Description                 []string
		Keyed, Bearer               bool
		Sent                        []shownMember
		Answers                     []shownAnswer
		Example                     string
	}
	shownMember struct {
		Name, Description string
		Required          bool
	}
	shownAnswer struct {
		Status, Description string
		Members             []shownMember
	}
)

// order of the calls on the page: that in which they are made.
func (d *described) shown() shownPage {
	p := shownPage{Title: d.Info.Title, Version: d.Info.Version, Description: paragraphs(d.Info.Description)}
	for path, methods := range d.Paths {
		for method, c := range methods {
			s := shownCall{Name: c.OperationID, Method: strings.ToUpper(method), Path: path, Summary: c.Summary, Description: paragraphs(c.Description)}
			for _, scheme := range c.Security {
				_, key := scheme["key"]
				_, token := scheme["token"]
				s.Keyed, s.Bearer = s.Keyed || key, s.Bearer || token
			}
			for _, param := range c.Parameters {
				s.Sent = append(s.Sent, shownMember{param.Name, param.Description, param.Required})
			}
			for _, media := range c.RequestBody.Content {
				s.Sent = append(s.Sent, d.members(media.Schema)...)
				for _, e := range media.Examples {
					s.Example = string(e.Value)
					break
				}
			}
			for status, a := range c.Responses {
				if name, ok := strings.CutPrefix(a.Ref, "#/components/responses/"); ok {
					a = d.Components.Responses[name]
				}
				one := shownAnswer{Status: status, Description: a.Description}
				for _, media := range a.Content {
					one.Members = d.members(media.Schema)
				}
				s.Answers = append(s.Answers, one)
			}
			slices.SortFunc(s.Answers, func(a, b shownAnswer) int { return strings.Compare(a.Status, b.Status) })
			p.Calls = append(p.Calls, s)
		}
	}
	slices.SortFunc(p.Calls, func(a, b shownCall) int { return slices.Index(Calls, a.Name) - slices.Index(Calls, b.Name) })
	return p
}

func (d *described) members(s describedSchema) (list []shownMember) {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		s = d.Components.Schemas[name]
	}
	for name, m := range s.Properties {
		if ref, ok := strings.CutPrefix(m.Ref, "#/components/schemas/"); ok && m.Description == "" {
			m.Description = d.Components.Schemas[ref].Description
		}
		list = append(list, shownMember{name, m.Description, slices.Contains(s.Required, name)})
	}
	slices.SortFunc(list, func(a, b shownMember) int {
		if a.Required != b.Required {
			if a.Required {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

func paragraphs(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n\n")
}

// pagePolicy lets the page show itself and nothing else: it has no script.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// servePage answers GET /api/.
func servePage(w http.ResponseWriter, r *http.Request) {
	if !onlyGet(w, r) {
		return
	}
	body, err := page()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "public, max-age=300")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

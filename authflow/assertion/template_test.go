package assertion

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestTemplateSaysWhatClaimsSay(t *testing.T) {
	tmpl := NewTemplate("h", "https://mall.example", "mall", "Entry to the mall", "")
	if got := tmpl.Claims(variable()); !reflect.DeepEqual(got, plain()) {
		t.Errorf("Claims: %+v", got)
	}
	c := plain()
	if got, want := tmpl.AppendPayload(nil, variable()), c.AppendJSON(nil); !bytes.Equal(got, want) {
		t.Errorf("AppendPayload:\n got %s\nwant %s", got, want)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("https://mall.example", "mall", "Entry to the mall", "", []byte("subject"), int64(issuedAt), 2)
	f.Add("\"", "\\", "\u2028\xff", "https://kyc.example", []byte{255}, int64(-1), -1)
	f.Fuzz(func(t *testing.T, iss, aud, purpose, authority string, ids []byte, n int64, status int) {
		v := Variable{IssuedAt: n, Expires: n / 2, AuthTime: -n, Status: status}
		copy(v.Subject[:], ids)
		copy(v.ID[:], ids[min(len(ids), 16):])
		copy(v.TxnID[:], ids[min(len(ids), 32):])
		copy(v.Consent[:], ids[min(len(ids), 48):])
		tmpl := NewTemplate("header", iss, aud, purpose, authority)
		c := tmpl.Claims(&v)
		payload := c.AppendJSON(nil)
		if got := tmpl.AppendPayload(nil, &v); !bytes.Equal(got, payload) {
			t.Errorf("AppendPayload:\n got %s\nwant %s", got, payload)
		}
		if got, want := tmpl.Append(nil, &v, ids), appendCompact(nil, "header", payload, ids); !bytes.Equal(got, want) {
			t.Errorf("Append:\n got %s\nwant %s", got, want)
		}
	})
}

func TestTemplateVerifies(t *testing.T) {
	for _, key := range allKeys(t) {
		t.Run(key.Algorithm, func(t *testing.T) {
			s := newSigner(t, key)
			tmpl := NewTemplate(s.Header(), "https://mall.example", "mall", "Entry to the mall", "https://kyc.example")
			signature, err := s.Sign(tmpl.AppendPayload(nil, variable()))
			if err != nil {
				t.Fatal(err)
			}
			compact := tmpl.Append(nil, variable(), signature)
			if got := tmpl.Size(s.SignatureSize()); got != len(compact) {
				t.Errorf("Size is %d, the assertion has %d", got, len(compact))
			}
			got, err := newVerifier(t, publicKeys(t, key)).Verify(string(compact))
			if err != nil || !reflect.DeepEqual(got, tmpl.Claims(variable())) {
				t.Errorf("Verify: %+v, %v", got, err)
			}
		})
	}
}

func TestTemplateAllocatesNothing(t *testing.T) {
	tmpl := NewTemplate(strings.Repeat("h", 108), "https://mall.example", "mall", "Entry to the mall", "")
	v, signature, buf := variable(), make([]byte, 64), make([]byte, 0, MaxSize)
	claims := plain()
	for name, f := range map[string]func(){
		"AppendPayload": func() { tmpl.AppendPayload(buf, v) },
		"Append":        func() { tmpl.Append(buf, v, signature) },
		"AppendJSON":    func() { claims.AppendJSON(buf) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkTemplateAppend(b *testing.B) {
	tmpl := NewTemplate(strings.Repeat("h", 108), "https://mall.example", "mall", "Entry to the mall", "")
	v, signature, buf := variable(), make([]byte, 64), make([]byte, 0, MaxSize)
	b.ReportAllocs()
	for b.Loop() {
		tmpl.Append(buf, v, signature)
	}
}

func BenchmarkTemplateAppendPayload(b *testing.B) {
	tmpl := NewTemplate("", "https://mall.example", "mall", "Entry to the mall", "")
	v, buf := variable(), make([]byte, 0, MaxSize)
	b.ReportAllocs()
	for b.Loop() {
		tmpl.AppendPayload(buf, v)
	}
}

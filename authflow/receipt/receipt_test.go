package receipt_test

import (
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/kycvs/caddy-kycvs/authflow/assertion"
	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/chain"
	"github.com/kycvs/caddy-kycvs/authflow/ledger/export"
	"github.com/kycvs/caddy-kycvs/authflow/receipt"
)

var update = flag.Bool("update", false, "write the golden files anew")

const issuer = "https://mall.example"

// Keys that everybody knows: RFC 8037, appendix A, and RFC 7515, appendix A.3.
const (
	rfcEdDSA = `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA",
		"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
		"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	rfcES256 = `{"kty":"EC","crv":"P-256","alg":"ES256",
		"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
		"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
		"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
)

func signer(t testing.TB, text string) *assertion.Signer {
	t.Helper()
	var key jose.JSONWebKey
	if err := json.Unmarshal([]byte(text), &key); err != nil {
		t.Fatal(err)
	}
	s, err := assertion.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keysOf(t testing.TB, signers ...*assertion.Signer) assertion.KeyFunc {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, s := range signers {
		set.Keys = append(set.Keys, s.PublicKey())
	}
	keys, err := assertion.StaticKeys(set)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

var given = time.Date(2026, 11, 21, 12, 30, 0, 0, time.UTC)

func facts() receipt.Facts {
	return receipt.Facts{
		Issuer: issuer, Partner: "mall", Name: "Phoenix Mall", Purpose: "Entry to the mall & the cinema",
		Controller: "Phoenix Mall Ltd", Contact: "privacy@phoenix.example", Grievance: "https://phoenix.example/grievance",
		Withdraw: issuer + "/.kycvs/pass", Consent: "ICEiIyQlJicoKSorLC0uLw", Subject: "AAECAwQFBgcICQoLDA0ODw",
		TxnID: "30313233-3435-3637-3839-3a3b3c3d3e3f", Notice: "2-0123456789ab", Lang: "hi", How: "otp+sms",
		Given: given, Until: given.Add(12 * time.Hour), Now: given.Add(time.Hour),
	}
}

// What is in a download, byte for byte: EdDSA signs the same in the same way.
func TestGolden(t *testing.T) {
	got, _, err := receipt.File(signer(t, rfcEdDSA), receipt.New(facts()))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("testdata", "receipt.golden.json")
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; run with -update and look at the difference\n%s", name, got)
	}
}

func TestVerify(t *testing.T) {
	ed, es := signer(t, rfcEdDSA), signer(t, rfcES256)
	for _, s := range []*assertion.Signer{ed, es} {
		want := receipt.New(facts())
		compact, err := receipt.Sign(s, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := receipt.Verify(t.Context(), compact, keysOf(t, ed, es), issuer)
		if err != nil || got.RecordID != want.RecordID || got.Own != want.Own {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

// The bare one: no controller, nobody to complain to, a notice that is not known.
func TestBareReceipt(t *testing.T) {
	f := facts()
	f.Controller, f.Contact, f.Grievance, f.Notice, f.Lang = "", "", "", "", ""
	s := signer(t, rfcEdDSA)
	text, compact, err := receipt.File(s, receipt.New(f))
	if err != nil {
		t.Fatal(err)
	}
	r, err := receipt.Verify(t.Context(), compact, keysOf(t, s), issuer)
	if err != nil || r.Parties[0] != (receipt.Party{PartyName: "Phoenix Mall", PartyRole: "controller"}) {
		t.Errorf("got %+v, %v", r, err)
	}
	for _, absent := range []string{"contact", "grievance", "privacy_notice", "language"} {
		if strings.Contains(string(text), `"`+absent+`"`) {
			t.Errorf("an empty %s is written", absent)
		}
	}
}

// signAs signs a payload with a header of one's own.
func signAs(t testing.TB, text string, header map[jose.HeaderKey]any, payload string) string {
	t.Helper()
	var key jose.JSONWebKey
	if err := json.Unmarshal([]byte(text), &key); err != nil {
		t.Fatal(err)
	}
	id, _ := assertion.KeyID(key)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: jose.JSONWebKey{Key: key.Key, KeyID: id}},
		&jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestVerifyRefuses(t *testing.T) {
	ed, es := signer(t, rfcEdDSA), signer(t, rfcES256)
	good, err := receipt.Sign(ed, receipt.New(facts()))
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := json.Marshal(receipt.New(facts()))
	typ := map[jose.HeaderKey]any{"typ": receipt.Type}
	part := func(i int) string { return strings.Split(good, ".")[i] }
	other := ed.PublicKey()
	other.Algorithm = "ES256"
	wrongAlg, _ := assertion.StaticKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{other}})
	misnamed := es.PublicKey()
	misnamed.KeyID = ed.KeyID()
	wrongName, _ := assertion.StaticKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{misnamed}})
	for _, c := range []struct {
		name, compact string
		keys          assertion.KeyFunc
		want          error
	}{
		{"another issuer's", signAs(t, rfcEdDSA, typ, strings.Replace(string(payload), issuer, "https://evil.example", 1)), keysOf(t, ed), receipt.ErrIssuer},
		{"an unknown key", good, keysOf(t, es), receipt.ErrKey},
		{"a key for another algorithm", good, wrongAlg, receipt.ErrKey},
		{"a key under another's name", good, wrongName, receipt.ErrKey},
		{"the signature of another", part(0) + "." + part(1) + "." + strings.Split(signAs(t, rfcEdDSA, typ, "{}"), ".")[2], keysOf(t, ed), receipt.ErrSignature},
		{"another typ", signAs(t, rfcEdDSA, map[jose.HeaderKey]any{"typ": "JWT"}, string(payload)), keysOf(t, ed), receipt.ErrType},
		{"no typ", signAs(t, rfcEdDSA, nil, string(payload)), keysOf(t, ed), receipt.ErrType},
		{"an address of a key", signAs(t, rfcEdDSA, map[jose.HeaderKey]any{"typ": receipt.Type, "jku": "https://evil.example"}, string(payload)), keysOf(t, ed), receipt.ErrMalformed},
		{"a doubled member", signAs(t, rfcEdDSA, typ, strings.Replace(string(payload), `"record_id":`, `"record_id":"x","record_id":`, 1)), keysOf(t, ed), receipt.ErrMalformed},
		{"another schema", signAs(t, rfcEdDSA, typ, strings.Replace(string(payload), ":2023", ":2029", 1)), keysOf(t, ed), receipt.ErrMalformed},
		{"no consent", signAs(t, rfcEdDSA, typ, strings.Replace(string(payload), `"record_id":"ICEiIyQlJicoKSorLC0uLw"`, `"record_id":""`, 1)), keysOf(t, ed), receipt.ErrMalformed},
		{"no time", signAs(t, rfcEdDSA, typ, strings.Replace(string(payload), "2026-11-21T12:30:00Z", "yesterday", 1)), keysOf(t, ed), receipt.ErrMalformed},
		{"an array", signAs(t, rfcEdDSA, typ, "[]"), keysOf(t, ed), receipt.ErrMalformed},
		{"nothing", signAs(t, rfcEdDSA, typ, ""), keysOf(t, ed), receipt.ErrMalformed},
		{"null", signAs(t, rfcEdDSA, typ, "null"), keysOf(t, ed), receipt.ErrMalformed},
		{"not UTF-8", signAs(t, rfcEdDSA, typ, strings.Replace(string(payload), "Phoenix", "\xff", 1)), keysOf(t, ed), receipt.ErrMalformed},
		{"another spelling", good + "=", keysOf(t, ed), receipt.ErrMalformed},
		{"a line break", part(0) + ".\n" + part(1) + "." + part(2), keysOf(t, ed), receipt.ErrMalformed},
		{"two parts", part(0) + "." + part(1), keysOf(t, ed), receipt.ErrMalformed},
		{"too long", good + strings.Repeat("A", receipt.MaxSize), keysOf(t, ed), receipt.ErrMalformed},
		{"empty", "", keysOf(t, ed), receipt.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := receipt.Verify(t.Context(), c.compact, c.keys, issuer)
			if !errors.Is(err, c.want) || r.RecordID != "" {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	for _, c := range []struct {
		keys   assertion.KeyFunc
		issuer string
	}{{nil, issuer}, {keysOf(t, ed), ""}} {
		if _, err := receipt.Verify(t.Context(), good, c.keys, c.issuer); err == nil {
			t.Error("checked without somebody to trust")
		}
	}
}

// A receipt is never an assertion, and an assertion never a receipt, whoever is
// asked and though one key signs both.
func TestNeitherPassesForTheOther(t *testing.T) {
	s := signer(t, rfcES256)
	keys := keysOf(t, s)
	v, err := assertion.NewVerifier(assertion.VerifierConfig{Keys: keys, Issuer: issuer, Audience: "mall", Now: func() time.Time { return given }})
	if err != nil {
		t.Fatal(err)
	}
	// as near to an assertion as a receipt can come
	claims := assertion.Claims{
		Issuer: issuer, Audience: "mall", Subject: "AAECAwQFBgcICQoLDA0ODw", IssuedAt: given.Unix(), NotBefore: given.Unix(), Expires: given.Unix() + 60,
		ID: "EBESExQVFhcYGRobHB0eHw", VaccinationStatus: 2, AuthTime: given.Unix(), Methods: []string{"otp", "sms"},
		TxnID: "30313233-3435-3637-3839-3a3b3c3d3e3f", Consent: "ICEiIyQlJicoKSorLC0uLw", Purpose: "Entry",
	}
	compact, err := s.Compact(claims)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(compact); err != nil {
		t.Fatal(err)
	}
	if _, err := receipt.Verify(t.Context(), compact, keys, issuer); !errors.Is(err, receipt.ErrType) {
		t.Errorf("an assertion is taken for a receipt: %v", err)
	}
	for name, payload := range map[string]string{"a receipt": "", "a receipt that claims to be one": string(claims.AppendJSON(nil))} {
		var one string
		if payload == "" {
			one, err = receipt.Sign(s, receipt.New(facts()))
		} else {
			one, err = s.SignAs(receipt.Type, []byte(payload))
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(one); err == nil || !errors.Is(err, assertion.ErrType) && !errors.Is(err, assertion.ErrSize) {
			t.Errorf("%s is taken for an assertion: %v", name, err)
		}
	}
}

func TestFile(t *testing.T) {
	s, es := signer(t, rfcEdDSA), signer(t, rfcES256)
	text, _, err := receipt.File(s, receipt.New(facts()))
	if err != nil {
		t.Fatal(err)
	}
	var compacted json.RawMessage = text
	small, _ := json.Marshal(compacted) // as a tool writes it that has read it
	for name, text := range map[string][]byte{"as it was made": text, "with other spaces and escapes": small} {
		for keysName, keys := range map[string]assertion.KeyFunc{"the issuer's keys": keysOf(t, s, es), "its own key": nil} {
			r, kid, err := receipt.VerifyFile(t.Context(), text, keys, issuer)
			if err != nil || r.RecordID != facts().Consent || kid != s.KeyID() {
				t.Errorf("%s, with %s: %+v, %q, %v", name, keysName, r, kid, err)
			}
		}
	}
	change := func(old, new string) []byte {
		changed := strings.Replace(string(text), old, new, 1)
		if changed == string(text) {
			t.Fatalf("no %s in the file", old)
		}
		return []byte(changed)
	}
	public, _ := es.PublicKey().MarshalJSON()
	private := strings.NewReplacer("\n", "", "\t", "").Replace(rfcES256)
	for _, c := range []struct {
		name string
		text []byte
		want error
	}{
		{"another purpose to be read", change("Entry to the mall", "Entry to the bank"), receipt.ErrDiffers},
		{"one member less", change(`"language": "hi",`, ``), receipt.ErrDiffers},
		{"one member more", change(`"language": "hi",`, `"language": "hi", "x": 1,`), receipt.ErrDiffers},
		{"another key", change(`"key": {`, `"key": `+string(public)+`, "old": {`), receipt.ErrKey},
		{"a private key", change(`"key": {`, `"key": `+private+`, "old": {`), receipt.ErrKey},
		{"no key", change(`"key": {`, `"old": {`), receipt.ErrKey},
		{"no signature", change(`"signature": `, `"old": `), receipt.ErrMalformed},
		{"two receipts", change(`"receipt": `, `"receipt": {}, "receipt": `), receipt.ErrMalformed},
		{"not JSON", []byte("receipt"), receipt.ErrMalformed},
		{"too long", append(slices.Clone(text), strings.Repeat(" ", receipt.MaxFileSize)...), receipt.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r, kid, err := receipt.VerifyFile(t.Context(), c.text, nil, issuer); !errors.Is(err, c.want) || r.RecordID != "" || kid != "" {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if _, _, err := receipt.VerifyFile(t.Context(), text, keysOf(t, es), issuer); !errors.Is(err, receipt.ErrKey) {
		t.Errorf("the file's own key was taken in place of the issuer's: %v", err)
	}
}

// The longest texts that the ledger takes fit.
func TestLongTexts(t *testing.T) {
	f := facts()
	f.Purpose = strings.Repeat("प्र", 4096/9)
	f.Controller, f.Name = strings.Repeat("क", 300), strings.Repeat("क", 300)
	text, _, err := receipt.File(signer(t, rfcEdDSA), receipt.New(f))
	if err != nil || len(text) > receipt.MaxFileSize {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if _, _, err := receipt.VerifyFile(t.Context(), text, nil, issuer); err != nil {
		t.Error(err)
	}
	f.Purpose = strings.Repeat("x", receipt.MaxSize)
	if _, err := receipt.Sign(signer(t, rfcEdDSA), receipt.New(f)); err == nil {
		t.Error("signed what nobody would read")
	}
}

// A receipt has the names that the ledger's export has.
func TestNamesAreThoseOfTheExport(t *testing.T) {
	e := ledger.Entry{
		Event: ledger.Given, Consent: "c", At: given, Person: "p", Phone: "nAAAAAAAAAAA", Partner: "mall", Purpose: "Entry", TxnID: "t",
		Notice: "2-0", Lang: "en", How: "otp+sms", Until: given.Add(time.Hour),
	}
	exported := names(t, export.Of(chain.Line{Seq: 1, Hash: "h"}, e))
	if export.SchemaVersion != receipt.SchemaVersion {
		t.Errorf("schema %q, the export has %q", receipt.SchemaVersion, export.SchemaVersion)
	}
	own := []string{"kycvs.contact", "kycvs.grievance", "kycvs.issued", "kycvs.issuer", "kycvs.withdraw"}
	for _, name := range slices.Sorted(maps.Keys(names(t, receipt.New(facts())))) {
		if !exported[name] && !slices.Contains(own, name) {
			t.Errorf("the export has no %s", name)
		}
	}
}

// names are the paths of all members.
func names(t *testing.T, v any) map[string]bool {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				under := strings.TrimPrefix(path+"."+name, ".")
				found[under] = true
				walk(under, member)
			}
		case []any:
			for _, member := range v {
				walk(path, member)
			}
		}
	}
	walk("", all)
	return found
}

// Whatever is accepted is what Sign writes for what was read, or at least says the
// same: no text has two readings.
func FuzzVerifyFile(f *testing.F) {
	s := signer(f, rfcEdDSA)
	text, compact, err := receipt.File(s, receipt.New(facts()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"receipt":{},"signature":"` + compact + `","key":{}}`))
	f.Add([]byte(`{"receipt":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, kid, err := receipt.VerifyFile(t.Context(), text, nil, issuer)
		if (err == nil) != (r.RecordID != "") || (err == nil) != (kid != "") {
			t.Fatalf("%+v, %q and %v", r, kid, err)
		}
		if err == nil && kid == s.KeyID() && r.Own != receipt.New(facts()).Own {
			t.Fatal("somebody else's words under our key")
		}
	})
}

// No text but the one that was signed is accepted under our key.
func FuzzVerify(f *testing.F) {
	s := signer(f, rfcEdDSA)
	compact, err := receipt.Sign(s, receipt.New(facts()))
	if err != nil {
		f.Fatal(err)
	}
	keys := keysOf(f, s)
	f.Add(compact)
	f.Add(compact + "=")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := receipt.Verify(t.Context(), text, keys, issuer); err == nil && text != compact {
			t.Fatalf("another text is accepted: %q", text)
		}
	})
}

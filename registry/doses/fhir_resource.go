package doses

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/kycvs/caddy-kycvs/registry"
)

// resource is what is read of a Patient (https://hl7.org/fhir/R4/patient.html) and
// of an Immunization (https://hl7.org/fhir/R4/immunization.html).
type resource struct {
	ResourceType string            `json:"resourceType"`
	ID           string            `json:"id"`
	Contained    []json.RawMessage `json:"contained"`

	Identifier []identifier `json:"identifier"`
	Name       []humanName  `json:"name"`
	Telecom    []telecom    `json:"telecom"`
	BirthDate  string       `json:"birthDate"`

	Status             string          `json:"status"`
	VaccineCode        codeableConcept `json:"vaccineCode"`
	Patient            reference       `json:"patient"`
	OccurrenceDateTime string          `json:"occurrenceDateTime"`
	OccurrenceString   string          `json:"occurrenceString"`
	ProtocolApplied    []protocol      `json:"protocolApplied"`
}

type identifier struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

// key is what Patients are found by; no reference is written like it.
func (i identifier) key() string { return "\x00" + i.System + "\x00" + i.Value }

type humanName struct {
	Use    string   `json:"use"`
	Text   string   `json:"text"`
	Family string   `json:"family"`
	Given  []string `json:"given"`
}

func (n humanName) String() string {
	if strings.TrimSpace(n.Text) != "" {
		return n.Text
	}
	return strings.TrimSpace(strings.Join(n.Given, " ") + " " + n.Family)
}

type telecom struct {
	System string `json:"system"`
	Value  string `json:"value"`
	Use    string `json:"use"`
	Rank   int    `json:"rank"`
}

type reference struct {
	Reference  string     `json:"reference"`
	Identifier identifier `json:"identifier"`
}

// key is the id of the Patient, whichever server it is on and whichever version is
// meant, or its identifier; "" if there is neither.
func (r reference) key() string {
	ref, _, _ := strings.Cut(r.Reference, "/_history/")
	if id, found := strings.CutPrefix(ref, "urn:uuid:"); found {
		return id
	}
	if i := strings.LastIndex(ref, "Patient/"); i >= 0 && (i == 0 || ref[i-1] == '/') {
		return ref[i+len("Patient/"):]
	}
	if r.Identifier.Value != "" {
		return r.Identifier.key()
	}
	return ""
}

type codeableConcept struct {
	Coding []coding `json:"coding"`
	Text   string   `json:"text"`
}

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display"`
}

// protocol is Immunization.protocolApplied.
type protocol struct {
	DoseNumber       json.Number `json:"doseNumberPositiveInt"`
	DoseNumberString string      `json:"doseNumberString"`
	Series           json.Number `json:"seriesDosesPositiveInt"`
	SeriesString     string      `json:"seriesDosesString"`
}

func (p protocol) number() string { return cmp.Or(p.DoseNumber.String(), p.DoseNumberString) }
func (p protocol) total() string  { return cmp.Or(p.Series.String(), p.SeriesString) }

// patient is what a row says of a Patient.
type patient struct {
	mobile, name, birthDate, id string
}

func (p patient) fill(fields [][]byte) {
	fields[mobileNumber], fields[fullName] = []byte(p.mobile), []byte(p.name)
	fields[birthYear], fields[beneficiaryID] = []byte(p.birthDate), []byte(p.id)
}

// patient chooses among what a Patient states: the number that is one, a mobile one
// first, none that is old; the official name, else the usual one, none that is old.
// The id is that of the vaccination register, told by its system, else the resource's,
// but for a contained one, whose id means nothing outside.
func (r *resource) patient(countries []int, contained bool) patient {
	p := patient{birthDate: r.BirthDate}
	for _, i := range r.Identifier {
		system := strings.ToLower(i.System)
		if i.Value != "" && (strings.Contains(system, "cowin") || strings.Contains(system, "beneficiary")) {
			p.id = i.Value
			break
		}
	}
	if p.id == "" && !contained {
		p.id = r.ID
	}

	phones := slices.DeleteFunc(slices.Clone(r.Telecom), func(t telecom) bool {
		return t.System != "phone" && t.System != "sms" || t.Use == "old" || t.Value == ""
	})
	slices.SortStableFunc(phones, func(a, b telecom) int {
		return cmp.Or(rank(a.Use, "mobile")-rank(b.Use, "mobile"), cmp.Compare(uint(a.Rank-1), uint(b.Rank-1)))
	})
	for _, t := range phones {
		number := strings.TrimPrefix(t.Value, "tel:")
		p.mobile = cmp.Or(p.mobile, number) // for the message, if none is one
		if m, err := registry.ParseMobile(number, countries); err == nil {
			p.mobile = string(m)
			break
		}
	}

	best := len(nameUses)
	for _, n := range r.Name {
		if at := rank(n.Use, nameUses...); at < best && n.String() != "" {
			best, p.name = at, n.String()
		}
	}
	return p
}

// nameUses are the uses of a name, the best first. Old, maiden and temporary names
// are none that a person goes by.
var nameUses = []string{"official", "usual", "", "nickname", "anonymous"}

// rank is the place of a word in a list, behind the last one if it is not in it.
func rank(word string, list ...string) int {
	if i := slices.Index(list, word); i >= 0 {
		return i
	}
	return len(list)
}

package doses

import (
	"strings"

	"github.com/kycvs/caddy-kycvs/registry"
)

// vaccineCodes are the codes of the vaccines of the built-in table, by the part of
// its address that tells a code system, and the vaccine's name.
var vaccineCodes = map[string]map[string]string{
	// CDC's CVX, http://hl7.org/fhir/sid/cvx, with the codes for vaccines not used in
	// the United States.
	"cvx": {
		"207": "MODERNA", "221": "MODERNA", "210": "COVISHIELD", "211": "COVOVAX", "212": "JANSSEN",
		"502": "COVAXIN", "504": "SPUTNIK LIGHT", "505": "SPUTNIK V",
	},
	// WHO's ICD-11, http://id.who.int/icd11/mms, as its Digital Documentation of
	// COVID-19 Certificates has it.
	"id.who.int/icd": {
		"XM97T2": "COVISHIELD", "XM4YL8": "COVISHIELD", "XM1G90": "COVAXIN", "XM5ZJ4": "SPUTNIK V", "XM5QM6": "SPUTNIK LIGHT",
		"XM3DT5": "MODERNA", "XM6QV1": "JANSSEN", "XM52P3": "ZyCoV-D", "XM9T65": "COVOVAX",
	},
	// SNOMED CT, http://snomed.info/sct: products that WHO's map from it to ICD-11 names.
	"snomed": {
		"28961000087105": "COVISHIELD", "399771000221108": "COVISHIELD", "424581000221100": "COVISHIELD",
		"28761000087108": "COVISHIELD", "399781000221106": "COVISHIELD", "424571000221103": "COVISHIELD",
		"33211000087105": "COVAXIN", "31341000087103": "SPUTNIK V", "33461000087106": "SPUTNIK LIGHT",
		"399801000221105": "SPUTNIK V", "399811000221108": "SPUTNIK V",
		"34921000087108": "COVOVAX", "29171000087106": "COVOVAX",
		"28951000087107": "JANSSEN", "399821000221103": "JANSSEN", "424591000221102": "JANSSEN",
		"35651000087105": "MODERNA", "399891000221101": "MODERNA", "399901000221102": "MODERNA",
	},
	// The EU's register of medicinal products, as in its certificates.
	"ec.europa.eu": {
		"EU/1/21/1529": "COVISHIELD", "EU/1/20/1507": "MODERNA", "EU/1/20/1525": "JANSSEN", "EU/1/21/1618": "COVOVAX",
		"Covishield": "COVISHIELD", "Covaxin": "COVAXIN", "Sputnik-V": "SPUTNIK V", "Sputnik-Light": "SPUTNIK LIGHT",
	},
}

// vaccine finds the vaccine of a vaccineCode: by a code that is known, else by a code,
// a display or the text that is a name the schedule knows. Codes of kinds of
// vaccines, such as "inactivated virus", name none.
func (c codeableConcept) vaccine(s registry.Schedule) (name, reason string) {
	for _, code := range c.Coding {
		system := strings.ToLower(code.System)
		for part, codes := range vaccineCodes {
			known := codes[code.Code]
			if known == "" || !strings.Contains(system, part) {
				continue
			}
			v, ok := s.Vaccine(known)
			switch {
			case !ok:
			case name != "" && name != v.Name:
				return "", "codes of different vaccines: write those of one"
			default:
				name = v.Name
			}
		}
	}
	if name != "" {
		return name, ""
	}
	try := func(text string) bool {
		v, ok := s.Vaccine(text)
		if ok {
			name = v.Name
		}
		return ok
	}
	for _, code := range c.Coding {
		if try(code.Code) || try(code.Display) {
			return name, ""
		}
	}
	if try(c.Text) {
		return name, ""
	}
	return "", "not a vaccine that is known here: write its code (CVX, ICD-11, SNOMED CT) or its name as display or text"
}

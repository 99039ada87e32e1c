package registry

import "time"

// CampaignStart is the day India's vaccination campaign began. No dose was given
// before, except abroad (Vaccine.From).
var CampaignStart = day(2021, 1, 16)

// zycovTwoDoses is the day India's drug controller approved ZyCoV-D in two doses
// of 3 mg instead of three of 2 mg.
var zycovTwoDoses = day(2022, 4, 26)

// DefaultVaccines returns the built-in table: the vaccines of India's campaign
// by the names CoWIN gave them, with the names that WHO, DIVOC's certificates
// and their makers use.
func DefaultVaccines() []Vaccine {
	one, two := []Regimen{{Doses: 1}}, []Regimen{{Doses: 2}}
	abroad := day(2020, 12, 1) // the first mass campaigns began that month
	return []Vaccine{
		{Name: "COVISHIELD", Regimens: two, Aliases: []string{"ChAdOx1-S", "ChAdOx1 nCoV-19", "ChAdOx1-S [recombinant]",
			"ChAdOx1 nCoV-19 Corona Virus Vaccine (Recombinant)", "AZD1222", "AstraZeneca", "Oxford-AstraZeneca", "Vaxzevria"}},
		{Name: "COVAXIN", Regimens: two, Aliases: []string{"BBV152", "Whole Virion Inactivated Corona Virus Vaccine"}},
		{Name: "SPUTNIK V", Regimens: two, From: abroad, Aliases: []string{"Gam-COVID-Vac"}},
		{Name: "MODERNA", Regimens: two, From: abroad, Aliases: []string{"mRNA-1273", "Spikevax", "Spikevax (mRNA-1273)",
			"Moderna Spikevax", "Elasomeran"}},
		{Name: "CORBEVAX", Regimens: two, Aliases: []string{"BECOV2", "BECOV2D"}},
		{Name: "COVOVAX", Regimens: two, Aliases: []string{"NVX-CoV2373", "Novavax", "Nuvaxovid"}},
		{Name: "GEMCOVAC", Regimens: two, Aliases: []string{"GEMCOVAC-19", "HGCO19"}},
		{Name: "iNCOVACC", Regimens: two, Aliases: []string{"BBV154"}},
		{Name: "JANSSEN", Regimens: one, Aliases: []string{"Ad26.COV2.S", "Ad26.COV2-S", "Janssen (Ad26.COV2.S)", "Jcovden",
			"Johnson & Johnson", "Johnson and Johnson", "Janssen (Johnson & Johnson)", "J&J"}},
		{Name: "SPUTNIK LIGHT", Regimens: one, Aliases: []string{"Gam-COVID-Vac Light"}},
		{Name: "ZyCoV-D", Regimens: []Regimen{{Doses: 3}, {Doses: 2, Since: zycovTwoDoses}}, Aliases: []string{"Zydus ZyCoV-D"}},
		// Approved in 2023 for a precaution dose and nothing else.
		{Name: "GEMCOVAC-OM"},
	}
}

func day(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
}

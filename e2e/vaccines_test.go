package e2e

import "testing"

// A vaccine that the built-in table does not have, and one of which it has something
// else: the statuses follow the Caddyfile, with the list of doses as it was.
func TestVaccinesOfTheOperator(t *testing.T) {
	t.Parallel()
	const list = `mobile_number,full_name,vaccine,dose,total_doses,date
9876504101,Fully Abroad,COVISHIELD,1,2,2021-05-01
9876504101,Fully Abroad,COVISHIELD,2,2,2021-08-01
9876504102,Two Covaxin,COVAXIN,1,2,2021-05-01
9876504102,Two Covaxin,COVAXIN,2,2,2021-06-01
9876504101,Fully Abroad,Comirnaty,3,2,2022-02-01
9876504199,Own Vaccine,Comirnaty,1,2,2021-01-04
9876504199,Own Vaccine,BNT 162b2,2,2,2021-02-01
`
	s := setup{kycvs: plenty, people: list, sites: gateSites}
	own := person{"9876504199", "Own Vaccine", 2}
	s.kycvs += `
		vaccine COMIRNATY {
			doses 2
			alias BNT162b2
			from 2020-12-08
		}`
	in := start(t, s)
	in.browse(t, "https://work.example").signIn(own)
	in.browse(t, "https://work.example").signIn(person{"9876504102", "Two Covaxin", 2})

	s.kycvs = plenty + `
		vaccine COMIRNATY {
			doses 3
			alias BNT162b2
			from 2020-12-08
		}
		vaccine Covaxin {
			doses 3
		}`
	in.stop()
	in.setup = s
	in.write("Caddyfile", in.config(s))
	in.run()
	in.browse(t, "https://work.example").signIn(person{"9876504102", "Two Covaxin", 1})
	own.status = 1
	in.browse(t, "https://work.example").signIn(own)
	in.browse(t, "https://work.example").signIn(person{"9876504101", "Fully Abroad", 2})
}

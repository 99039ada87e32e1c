package e2e

// person is somebody of the registry.
type person struct {
	mobile, name string
	status       int
}

// The people of every test's registry (all made up). Each test of the limits
// brings its own instance, so they can be shared.
var (
	asha   = person{"9876543210", "Asha Rao", 2}
	vikram = person{"9876501001", "Vikram Singh", 1}
	meera  = person{"9876501002", "Meera Nair", 0}
	joseph = person{"9876501003", "Joseph D'Souza", 2} // one dose of Janssen
	nobody = person{"9876509999", "Nobody Atall", -1}  // in no row

	// Six people on one number.
	gita  = person{"9876502000", "Gita Patel", 2}
	ravi  = person{"9876502000", "Ravi Patel", 1}
	kiran = person{"9876502000", "Kiran Patel", 0}
	lata  = person{"9876502000", "Lata Patel", 2}
	// Two of them with the same name, told apart by the year of birth.
	elder   = person{"9876502000", "Mohan Patel", 2} // 1950
	younger = person{"9876502000", "Mohan Patel", 0} // 1999
	// Two whom nothing tells apart.
	twin = person{"9876503000", "Sita Devi", -1}
)

const people = `mobile_number,full_name,vaccine,dose,total_doses,date,birth_year,beneficiary_id,record_status
9876543210,Asha Rao,COVISHIELD,1,2,2021-04-01,1980,10000000000001,completed
9876543210,Asha Rao,COVISHIELD,2,2,2021-07-01,1980,10000000000001,completed
9876501001,Vikram Singh,COVAXIN,1,2,2021-05-01,1990,10000000000002,completed
9876501002,Meera Nair,,,,,1995,10000000000003,
9876501003,Joseph D'Souza,JANSSEN,1,1,2021-09-01,1970,10000000000004,completed
9876502000,Gita Patel,COVAXIN,1,2,2021-05-01,1960,10000000000005,completed
9876502000,Gita Patel,COVAXIN,2,2,2021-06-05,1960,10000000000005,completed
9876502000,Ravi Patel,COVISHIELD,1,2,2021-05-01,1961,10000000000006,completed
9876502000,Kiran Patel,,,,,1990,10000000000007,
9876502000,Lata Patel,SPUTNIK V,1,2,2021-05-01,1992,10000000000008,completed
9876502000,Lata Patel,SPUTNIK V,2,2,2021-06-05,1992,10000000000008,completed
9876502000,Mohan Patel,COVISHIELD,1,2,2021-05-01,1950,10000000000009,completed
9876502000,Mohan Patel,COVISHIELD,2,2,2021-08-01,1950,10000000000009,completed
9876502000,Mohan Patel,,,,,1999,10000000000010,
9876503000,Sita Devi,COVISHIELD,1,2,2021-05-01,1985,10000000000011,completed
9876503000,Sita Devi,,,,,1985,10000000000012,
`

// divoc is a bulk file with DIVOC's column names (github.com/egovernments/DIVOC).
const divoc = `preEnrollmentCode,recipientName,recipientMobileNumber,recipientDOB,recipientAge,recipientGender,recipientNationality,recipientIdentity,recipientAddressLine1,recipientAddressLine2,recipientDistrict,recipientState,recipientPincode,vaccinationBatch,vaccinationDate,vaccinationDose,vaccinationTotalDoses,vaccinationEffectiveStart,vaccinationEffectiveEnd,vaccinationManufacturer,vaccinationName,vaccinatorName,facilityName,facilityAddressLine1,facilityAddressLine2,facilityDistrict,facilityState,facilityPincode
D-1,Divoc Fully,9811100001,1980-05-04,41,Female,Indian,did:example:1,,,,,,b1,2021-04-01,1,2,2021-04-01,2021-10-01,Maker,COVISHIELD,A,F,,,,,
D-1,Divoc Fully,9811100001,1980-05-04,41,Female,Indian,did:example:1,,,,,,b2,2021-07-01,2,2,2021-07-01,2022-01-01,Maker,COVISHIELD,A,F,,,,,
D-2,Divoc Partly,9811100002,1990-05-04,31,Male,Indian,did:example:2,,,,,,b1,2021-05-01,1,2,2021-05-01,2021-11-01,Maker,COVAXIN,A,F,,,,,
`

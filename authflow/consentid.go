package authflow

// A consent's id says to us, and to nobody else, whose it is: it is 10 random
// bytes and 6 of a keyed hash of these and the partner. So a partner can end the
// consents that were given to it, and hears of the withdrawals of its own, and
// nobody has to look them up in a ledger of a nation's size.
const consentRandom = 10

// newConsent makes the id of a consent given to a partner.
func (f *Flow) newConsent(partner string) ID128 {
	id := newID()
	tag := f.consentTag(id, partner)
	copy(id[consentRandom:], tag[:])
	return id
}

func (f *Flow) consentTag(id ID128, partner string) ID128 {
	return f.persons.key("consent", string(id[:consentRandom]), partner)
}

// GivenTo tells whether a consent was given to the partner.
func (f *Flow) GivenTo(consent ID128, partner string) bool {
	tag := f.consentTag(consent, partner)
	return string(tag[:len(consent)-consentRandom]) == string(consent[consentRandom:])
}

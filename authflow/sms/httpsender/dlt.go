package httpsender

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

// DLT is what a message is registered under in India, where every commercial
// message must match a template registered on the operators' distributed ledger
// (TRAI, Telecom Commercial Communications Customer Preference Regulations, 2018).
// The zero DLT is none.
type DLT struct {
	// Entity is the principal entity's id, digits. {sms.dlt_entity} stands for it.
	Entity string
	// Header is the sender's registered name. {sms.dlt_header} stands for it.
	Header string
	// Templates are the registered templates' ids by the message's language (BCP
	// 47, lower case); "" has the one for languages without one of their own.
	// {sms.dlt_template} stands for it.
	Templates map[string]string
}

var (
	digits = regexp.MustCompile(`^[0-9]{1,32}$`)
	word   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

func (d DLT) given() bool { return d.Entity != "" || d.Header != "" || len(d.Templates) > 0 }

// check returns what is missing or not well-formed.
func (d DLT) check() error {
	switch {
	case !d.given():
		return nil
	case d.Entity == "":
		return errors.New("sms http: dlt has no entity: write e.g. `entity 1101456780000012345`, as it was registered")
	case !digits.MatchString(d.Entity):
		return errors.New("sms http: dlt entity must be digits: write e.g. `entity 1101456780000012345`, as it was registered")
	case d.Header == "":
		return errors.New("sms http: dlt has no header: write e.g. `header PHXMAL`, as it was registered")
	case !word.MatchString(d.Header):
		return errors.New("sms http: dlt header must be letters and digits: write e.g. `header PHXMAL`, as it was registered")
	case d.Templates[""] == "":
		return errors.New("sms http: dlt has no template for languages without one of their own: write e.g. `template 1107160000000000001`")
	}
	for _, id := range d.Templates {
		if !word.MatchString(id) {
			return errors.New("sms http: dlt template must be letters and digits: write e.g. `template 1107160000000000001`, as it was registered")
		}
	}
	return nil
}

// template returns the id for a language: its own, else that of the language
// without script and region, else the common one.
func (d DLT) template(lang string) string {
	lang = strings.ToLower(lang)
	if id, ok := d.Templates[lang]; ok {
		return id
	}
	lang, _, _ = strings.Cut(lang, "-")
	if id, ok := d.Templates[lang]; ok {
		return id
	}
	return d.Templates[""]
}

func (d DLT) placeholders() placeholders {
	return placeholders{
		"dlt_entity":   func(sms.Message) string { return d.Entity },
		"dlt_header":   func(sms.Message) string { return d.Header },
		"dlt_template": func(m sms.Message) string { return d.template(m.Lang) },
	}
}

// unused returns an error if templates were parsed without any of dlt's
// placeholders: the provider would never see what is registered.
func (d DLT) unused(used map[string]bool) error {
	if !d.given() || used["dlt_entity"] || used["dlt_header"] || used["dlt_template"] {
		return nil
	}
	return fmt.Errorf("sms http: dlt is given, and %s stands nowhere: write it into the body, the URL or a header, where the provider wants it",
		"{sms.dlt_template}")
}

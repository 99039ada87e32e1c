package portal

import (
	"strings"

	xlanguage "golang.org/x/text/language"
)

// Bounds on what is parsed of what a client sends. The longest Accept-Language
// field that a browser makes of 22 languages stays well below.
const (
	maxAcceptLanguage = 512
	maxChosenLanguage = 35 // RFC 5646, section 4.4.1
)

// Negotiate returns the tag of the language to answer in, always one of
// Languages: the one that was chosen (the value of a lang field, say) if there
// is a good match for it, else the best for the Accept-Language field, else
// English. Both come from outside; neither can cost more than a bounded time.
func Negotiate(acceptLanguage, chosen string) string {
	c, err := texts()
	if err != nil {
		return fallback
	}
	if chosen != "" && len(chosen) <= maxChosenLanguage {
		if tag, err := xlanguage.Parse(chosen); err == nil {
			if l := c.match(xlanguage.High, tag); l != "" {
				return l
			}
		}
	}
	if len(acceptLanguage) > maxAcceptLanguage {
		// Whole members only: half a tag may be another one.
		acceptLanguage = acceptLanguage[:maxAcceptLanguage]
		acceptLanguage = acceptLanguage[:max(strings.LastIndexByte(acceptLanguage, ','), 0)]
	}
	wanted, _, err := xlanguage.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(wanted) == 0 {
		return fallback
	}
	if l := c.match(xlanguage.Low, wanted...); l != "" {
		return l
	}
	return fallback
}

// match returns the language nearest to what is wanted, empty if none is near
// enough.
func (c *catalogue) match(least xlanguage.Confidence, wanted ...xlanguage.Tag) string {
	_, i, confidence := c.matcher.Match(wanted...)
	if confidence < least {
		return ""
	}
	return c.languages[i].tag
}

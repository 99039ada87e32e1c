package embed

import "github.com/kycvs/caddy-kycvs/authflow/portal"

// texts are the few that only a frame needs; the rest are the portal's.
var texts = map[string]map[string]string{
	"en": {
		"no":       "No, do not check",
		"no_more":  "You did not agree. Nothing was looked up. You can close this.",
		"done":     "The answer was given to {partner}",
		"script":   "This window needs JavaScript. You can do the check on a page of its own instead.",
		"page":     "Open the check on a page of its own",
		"top":      "Go back to the site that you came from and start there.",
		"offline":  "There is no connection. Please try again.",
		"start":    "Start again",
		"send":     "Please wait …",
		"withdraw": "You took your consent back. {partner} gets no new answer about you.",
	},
	"hi": {
		"no":       "नहीं, जाँच न करें",
		"no_more":  "आपने सहमति नहीं दी। कुछ भी नहीं खोजा गया। आप इसे बंद कर सकते हैं।",
		"done":     "जवाब {partner} को दे दिया गया",
		"script":   "इस खिड़की के लिए JavaScript चाहिए। आप जाँच एक अलग पेज पर कर सकते हैं।",
		"page":     "जाँच अलग पेज पर खोलें",
		"top":      "जिस साइट से आप आए हैं, वहाँ वापस जाएँ और वहीं से शुरू करें।",
		"offline":  "इंटरनेट नहीं चल रहा है। कृपया फिर कोशिश करें।",
		"start":    "फिर से शुरू करें",
		"send":     "कृपया रुकें …",
		"withdraw": "आपने अपनी सहमति वापस ले ली। {partner} को आपके बारे में कोई नया जवाब नहीं मिलेगा।",
	},
}

// text is the portal's text under a key, or, where the portal has none, ours.
func text(lang, key string, args ...any) string {
	if own, ok := texts["en"][key]; ok {
		if t, ok := texts[lang][key]; ok {
			own = t
		}
		return fill(own, args)
	}
	return portal.Text(lang, key, args...)
}

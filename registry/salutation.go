package registry

import "strings"

// salutations are dropped where they stand before a name. The value is how many
// words must follow.
//
// One where the word is nothing but a salutation. Two where it is also a name:
// "Kumari Meena" and "Sri Harsha" can be somebody's whole name, and dropping
// the first word would make her one with any other Meena on that number, while
// of "Kumari Meena Devi" enough is left to tell people apart. "Md", "Mohd" and
// "Baby" are names.
var salutations = func() map[string]int {
	table := make(map[string]int)
	for need, words := range map[int]string{
		1: `mr mrs ms miss mx dr prof shri shree smt shrimati shreemati srimati sushri
			श्री श्रीमती सुश्री श्रीमान डॉ डा प्रो
			শ্রীমতী শ্রীমতি ডা ড
			શ્રીમતી ડૉ ਸ਼੍ਰੀਮਤੀ ਡਾ ଶ୍ରୀମତୀ ଡା
			திரு திருமதி டாக்டர் శ్రీమతి డా ಶ್ರೀಮತಿ ಡಾ ശ്രീമതി ഡോ
			جناب محترمہ ڈاکٹر`,
		2: `sri sh km kum kumari thiru tmt er adv
			कुमारी শ্রী કુમારી શ્રી ਸ਼੍ਰੀ ਸ੍ਰੀ ଶ୍ରୀ செல்வி శ్రీ కుమారి ಶ್ರೀ ಕುಮಾರಿ ശ്രീ കുമാരി`,
	} {
		for word := range strings.FieldsSeq(words) {
			table[foldName(word)] = need
		}
	}
	return table
}()

// dropSalutations takes a folded name and returns it without the salutations at
// its start, of which there may be several ("Shri Dr").
func dropSalutations(n string) string {
	for {
		word, rest, found := strings.Cut(n, " ")
		if !found {
			return n
		}
		need := salutations[word]
		if need == 0 || strings.Count(rest, " ")+1 < need {
			return n
		}
		n = rest
	}
}

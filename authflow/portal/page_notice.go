package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

// noticeEdition changes when the meaning of the notice does; the hash after it
// changes with every letter.
const noticeEdition = "2"

// NoticeVersion names what was shown to a person who consented, for the
// ledger: the edition, and 12 hexadecimal digits of a hash over the short and
// the full notice in that language, texts and templates. What the operator
// filled in (partner, purpose, controller) is not part of it. In a language
// that is not known it is the English one's, as for the page itself.
func NoticeVersion(lang string) string {
	c, err := texts()
	if err != nil {
		return noticeEdition
	}
	words := c.language(lang)
	if v, ok := noticeVersions.Load(words); ok {
		return v.(string)
	}
	v := noticeVersion(words)
	noticeVersions.Store(words, v)
	return v
}

// noticeVersions are those worked out before, by *language: templates and texts
// are built in.
var noticeVersions sync.Map

func noticeVersion(words *language) string {
	h := sha256.New()
	for _, name := range []string{"consent.html", "notice.html"} {
		content, err := templateFiles.ReadFile("templates/" + name)
		if err != nil {
			return noticeEdition // the file is built in
		}
		fmt.Fprintf(h, "%d\n", len(content))
		_, _ = h.Write(content)
	}
	for _, key := range slices.Sorted(maps.Keys(words.texts)) {
		if strings.HasPrefix(key, "consent.") || strings.HasPrefix(key, "notice.") {
			_, _ = io.WriteString(h, key+"\x00"+words.texts[key]+"\x00")
		}
	}
	return noticeEdition + "-" + hex.EncodeToString(h.Sum(nil)[:6])
}

package redis

import (
	"encoding/base64"

	"github.com/kycvs/caddy-kycvs/authflow/state"
)

// keys names the keys. What stands in braces says where in a cluster a key
// belongs: a handshake anywhere, by itself; all counters together, because Take
// looks at several in one step; the board's keys together.
//
//	kycvs:{kfmD0_VqHh3yNoZ1uuBQuQ}    a handshake
//	kycvs:{kfmD0_VqHh3yNoZ1uuBQuQ}:l  a list
//	kycvs:{c}:kfmD0_VqHh3yNoZ1uuBQuQ  a counter
//	kycvs:{w}:head, :log, :until      the board
type keys struct {
	handshake, counter string
	board              []string // head, log, until
}

func newKeys(prefix string) keys {
	return keys{
		handshake: prefix + ":{",
		counter:   prefix + ":{c}:",
		board:     []string{prefix + ":{w}:head", prefix + ":{w}:log", prefix + ":{w}:until"},
	}
}

const keyText = 22 // a state.Key in base64url

func (k keys) ofHandshake(id state.Key) string {
	b := make([]byte, 0, len(k.handshake)+keyText+1)
	b = append(b, k.handshake...)
	b = base64.RawURLEncoding.AppendEncode(b, id[:])
	return string(append(b, '}'))
}

func (k keys) ofList(key state.Key) string { return k.ofHandshake(key) + ":l" }

func (k keys) ofCounter(key state.Key) string {
	b := make([]byte, 0, len(k.counter)+keyText)
	b = append(b, k.counter...)
	return string(base64.RawURLEncoding.AppendEncode(b, key[:]))
}

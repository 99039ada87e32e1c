package embedded

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/registry/loading"
)

// TestNothingInPlain searches every byte of a store, and of all that lies beside it
// during an import, for what the files say: numbers as text and binary, ids, names,
// vaccines, dates.
func TestNothingInPlain(t *testing.T) {
	const n = 2000
	names := []string{"Lakshmi Subramanian", "Venkatesh", "आशा राव", "மீனா ஐயர்", "Chatterjee"}
	var b strings.Builder
	b.WriteString(header)
	var secrets [][]byte
	for _, word := range append(names, "Lakshmi", "Subramanian", "COVISHIELD", "COVAXIN", "2021-03", "2021-06", "20210", "mobile", "+9198", "919876") {
		secrets = append(secrets, []byte(word), bytes.ToLower([]byte(word)), bytes.ToUpper([]byte(word)))
	}
	for i := range n {
		name, number, id := names[i%len(names)], 9876500000+i*7, 31415926535000+i*11
		fmt.Fprintf(&b, "%d,%s,COVISHIELD,1,2,2021-03-%02d,1960,%d,\n%d,%s,COVAXIN,2,2,2021-06-%02d,1960,%d,\n",
			number, name, 1+i%28, id, number, name, 1+i%28, id)
		for _, v := range []int{number, 910000000000 + number, id} {
			secrets = append(secrets, []byte(strconv.Itoa(v)), binary.AppendUvarint(nil, uint64(v)),
				bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, uint64(v)), "\x00"),
				bytes.TrimRight(binary.LittleEndian.AppendUint64(nil, uint64(v)), "\x00"))
		}
	}
	// By their first bytes, because there are many: five in a row of so many are
	// hardly ever there by chance.
	begin := make(map[[5]byte][][]byte)
	for _, s := range secrets {
		begin[[5]byte(s)] = append(begin[[5]byte(s)], s)
	}
	search := func(text []byte) (found []string) {
		for i := range len(text) - 5 {
			for _, s := range begin[[5]byte(text[i:])] {
				if len(s) >= 6 && bytes.HasPrefix(text[i:], s) || len(s) == 5 && s[0] > ' ' && s[0] < 0x7f && bytes.HasPrefix(text[i:], s) {
					found = append(found, fmt.Sprintf("%q", s))
				}
			}
		}
		return found
	}
	if found := search([]byte(b.String())); len(found) < 6*n {
		t.Fatalf("the search finds %d only", len(found))
	}

	c, tmp := Config{Dir: t.TempDir(), Secrets: secret}, t.TempDir()
	check := func(when string) (size int) {
		for _, dir := range []string{c.Dir, tmp} {
			for path, text := range files(t, dir) {
				size += len(text)
				if found := search(append([]byte(path+"\n"), text...)); len(found) > 0 {
					t.Errorf("%s: %s: %s", when, path, found[0])
				}
			}
		}
		return size
	}
	config := loading.Config{Files: []loading.File{text(b.String())}, Now: now, TempDir: tmp, ProgressEvery: 10 * time.Millisecond,
		Progress: func(p loading.Progress) { check(string(p.Phase)) }}
	for range 2 {
		if _, err := loading.Run(t.Context(), NewWriter(c), config); err != nil {
			t.Fatal(err)
		}
		config.Files = []loading.File{text(strings.ReplaceAll(b.String(), "COVAXIN", "COVISHIELD"))}
	}
	if _, err := loading.Run(t.Context(), NewWriter(c), config); err != nil {
		t.Fatal(err)
	}
	if size := check("after"); size < n*60 {
		t.Errorf("%d bytes were searched", size)
	}
}

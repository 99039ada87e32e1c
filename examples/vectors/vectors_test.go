package vectors

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files and the table in README.md")

// generate makes the files anew.
func generate(t *testing.T) map[string][]byte {
	t.Helper()
	b := &builder{t: t, keys: readKeys(t)}
	vectors := file{
		Comment: "Assertions to test a verifier with: see README.md. The keys are in jwks.json. All of them are made up.",
		Vectors: b.build(),
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(vectors); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"jwks.json":    b.keys.public(t),
		"vectors.json": text.Bytes(),
		"assertion":    []byte(vectors.Vectors[0].Assertion + "\n"),
		"README.md":    readme(t, vectors.Vectors),
	}
}

// TestCurrent holds that the files are what the code makes, byte for byte.
func TestCurrent(t *testing.T) {
	for name, want := range generate(t) {
		if *update {
			if err := os.WriteFile(name, want, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what is made: run go generate ./examples/vectors (%v)", name, err)
		}
	}
}

// readme is README.md with the table of the vectors in it.
func readme(t *testing.T, all []Vector) []byte {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	const heading = "\n## All of them\n"
	before, _, ok := strings.Cut(string(text), heading)
	if !ok {
		t.Fatalf("README.md has no %q", heading)
	}
	out := bytes.NewBufferString(before + heading)
	good := 0
	for _, v := range all {
		if v.Good() {
			good++
		}
	}
	cell := strings.NewReplacer("|", `\|`, "*", `\*`, "_", `\_`, "<", `\<`)
	fmt.Fprintf(out, "\n### %d to take\n\n| | because |\n| --- | --- |\n", good)
	for _, v := range all {
		if v.Good() {
			fmt.Fprintf(out, "| %s | %s |\n", cell.Replace(v.Name), cell.Replace(v.Why))
		}
	}
	fmt.Fprintf(out, "\n### %d to refuse\n\n| | what to look at | because |\n| --- | --- | --- |\n", len(all)-good)
	for _, v := range all {
		if !v.Good() {
			fmt.Fprintf(out, "| %s | %s | %s |\n", cell.Replace(v.Name), v.Check, cell.Replace(v.Why))
		}
	}
	return out.Bytes()
}

func TestAll(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	good := 0
	named, seen := map[string]bool{}, map[Vector]string{}
	for _, v := range all {
		same := v
		same.Name, same.Why, same.Check = "", "", ""
		if named[v.Name] || seen[same] != "" {
			t.Errorf("%s is there already (%s)", v.Name, seen[same])
		}
		named[v.Name], seen[same] = true, v.Name
		switch {
		case v.Name == "" || v.Why == "" || v.Issuer == "" || v.Audience == "":
			t.Errorf("something is missing in %+v", v)
		case v.Expect != "good" && v.Expect != "bad", v.Good() != (v.Check == ""):
			t.Errorf("%s: expect %q, check %q", v.Name, v.Expect, v.Check)
		}
		if v.Good() {
			good++
		}
	}
	if bad := len(all) - good; good < 10 || bad < 40 {
		t.Errorf("%d good and %d bad", good, bad)
	}
}

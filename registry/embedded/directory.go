package embedded

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

const (
	keysName    = "keys"
	currentName = "CURRENT"
	lockName    = "LOCK"
)

// current is what CURRENT says.
type current struct {
	Generation int     // gen-N
	Store      storeID // whose it is
	Numbers    int64
	People     int64
	Doses      int64
}

type storeID [16]byte

func (id storeID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

func (id *storeID) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err == nil && len(b) != len(id) {
		err = errors.New("of another length")
	}
	copy(id[:], b)
	return err
}

func generationDir(dir string, n int) string { return filepath.Join(dir, "gen-"+strconv.Itoa(n)) }

var generationName = regexp.MustCompile(`^gen-\d+$`)

// readCurrent returns ErrNoStore where no generation counts.
func readCurrent(dir string) (c current, err error) {
	text, err := os.ReadFile(filepath.Join(dir, currentName))
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("registry file %s: %w", dir, ErrNoStore)
	}
	if err != nil {
		return c, fmt.Errorf("registry file: %w", err)
	}
	if err := parseCurrent(text, &c); err != nil {
		return c, fmt.Errorf("registry file %s: the file CURRENT is damaged: restore the directory from a backup, or remove it and import anew: %w", dir, err)
	}
	return c, nil
}

func parseCurrent(text []byte, c *current) error {
	if err := json.Unmarshal(text, c); err != nil {
		return err
	}
	if c.Generation < 1 || c.Numbers < 0 || c.People < 0 || c.Doses < 0 {
		return errors.New("it names no generation")
	}
	return nil
}

func writeCurrent(dir string, c current) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, currentName), append(text, '\n'))
}

func readKeys(dir string, secrets [][]byte) (*sealed.Keys, error) {
	wrapped, err := os.ReadFile(filepath.Join(dir, keysName))
	if errors.Is(err, fs.ErrNotExist) {
		err = sealed.ErrNotAKey
	}
	if err != nil {
		return nil, err
	}
	return sealed.Open(wrapped, secrets...)
}

// replace puts a file into the place of another, at once and lasting.
func replace(path string, text []byte) (err error) {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes what happened to the names in a directory last.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) { // where directories cannot be synced
		err = nil
	}
	return errors.Join(err, d.Close())
}

// tidy removes every generation but one.
func tidy(dir string, keep int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); generationName.MatchString(name) && name != filepath.Base(generationDir(dir, keep)) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	return err
}

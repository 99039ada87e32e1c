package doses

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// sniff undoes compression by gzip, and tells the format of what is in it: FHIR if
// it begins as JSON does, else CSV.
func sniff(r io.Reader) (io.Reader, Format, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		counted := &counter{r: in}
		z, err := gzip.NewReader(counted)
		if err != nil {
			return nil, "", fmt.Errorf("line 1: the file is not what gzip makes: %w", err)
		}
		in = bufio.NewReaderSize(&bounded{z: z, in: counted}, 64<<10)
	}
	start, _ := in.Peek(512) // its error comes again when it is read
	start = bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n")
	if bytes.HasPrefix(start, []byte{'{'}) {
		return in, FHIR, nil
	}
	return in, CSV, nil
}

const (
	// maxRatio is how many times longer a file may become when decompressed. Doses
	// become 3 to 30 times longer, what is made to fill somebody's disk a thousand.
	maxRatio = 300
	// freeOfRatio is how long it may be whatever it was.
	freeOfRatio = 64 << 20
)

var errBomb = errors.New("the file becomes more than 300 times longer when decompressed, as no list of doses does")

// counter counts the bytes that are read through it.
type counter struct {
	r *bufio.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// ReadByte keeps gzip from reading more than it needs.
func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// bounded is what gzip makes of in, as far as that is believable.
type bounded struct {
	z  *gzip.Reader
	in *counter
	n  int64
}

func (d *bounded) Read(b []byte) (int, error) {
	n, err := d.z.Read(b)
	d.n += int64(n)
	if d.n > freeOfRatio && d.n/maxRatio > d.in.n {
		return n, errBomb
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("decompressing: %w", err)
	}
	return n, err
}

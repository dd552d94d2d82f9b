package wirecount

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// What a client may say first, in place of a protocol version.
const (
	cancelCode = 80877102
	sslCode    = 80877103
	gssCode    = 80877104
)

const (
	maxStartup   = 10_000   // PostgreSQL's own limit of a start-up packet
	captureLimit = 64 << 10 // bytes of a message's body that are looked at
)

// greet reads the client's start-up packet or cancel request, and refuses the
// encryption that it may ask for before.
func greet(client net.Conn) ([]byte, error) {
	for {
		packet, err := readStartup(client)
		if err != nil {
			return nil, err
		}
		if code := startCode(packet); code != sslCode && code != gssCode {
			return packet, nil
		}
		if _, err := client.Write([]byte{'N'}); err != nil {
			return nil, fmt.Errorf("refuse encryption: %w", err)
		}
	}
}

func readStartup(r io.Reader) ([]byte, error) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("read start-up packet: %w", err)
	}
	n := binary.BigEndian.Uint32(head)
	if n < 8 || n > maxStartup {
		return nil, errors.New("read start-up packet: not a PostgreSQL client")
	}
	packet := append(head, make([]byte, n-8)...)
	if _, err := io.ReadFull(r, packet[8:]); err != nil {
		return nil, fmt.Errorf("read start-up packet: %w", err)
	}
	return packet, nil
}

func startCode(packet []byte) uint32 { return binary.BigEndian.Uint32(packet[4:8]) }

func isCancel(packet []byte) bool { return startCode(packet) == cancelCode }

// carriesText reports the message types whose body says which SQL they stand for.
func carriesText(typ byte) bool { return typ == 'Q' || typ == 'P' || typ == 'B' }

// scanner finds the messages in one direction of a connection, after its
// start-up packet, however the stream is cut into reads.
type scanner struct {
	// wants reports the types whose body is kept for message; nil means none.
	wants func(typ byte) bool
	// message is called for each message when its last byte has come.
	message func(typ byte, body []byte)

	head [5]byte // type and length
	have int     // bytes of head that have come
	left int     // bytes of the body that have not
	body []byte
	keep bool
}

func (s *scanner) feed(p []byte) {
	for len(p) > 0 {
		if s.have < len(s.head) {
			n := copy(s.head[s.have:], p)
			s.have, p = s.have+n, p[n:]
			if s.have < len(s.head) {
				return
			}
			s.begin()
		}
		n := min(s.left, len(p))
		s.take(p[:n])
		p = p[n:]
		if s.left == 0 {
			s.message(s.head[0], s.body)
			s.have, s.body = 0, s.body[:0]
		}
	}
}

func (s *scanner) begin() {
	s.left = max(int(binary.BigEndian.Uint32(s.head[1:]))-4, 0)
	s.keep = s.wants != nil && s.wants(s.head[0])
}

func (s *scanner) take(p []byte) {
	s.left -= len(p)
	if s.keep {
		s.body = append(s.body, p[:min(len(p), captureLimit-len(s.body))]...)
	}
}

// cstring splits a zero-terminated string off b. One without its end, which
// was cut by captureLimit, is taken whole.
func cstring(b []byte) (string, []byte) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return string(b[:i]), b[i+1:]
	}
	return string(b), nil
}

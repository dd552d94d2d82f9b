package pgscope

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// stream is a net.Conn that gives in, and takes out.
type stream struct {
	net.Conn // nil: only what is defined here may be called
	in, out  []byte
	most     int // bytes per Read
}

func (s *stream) Write(p []byte) (int, error) {
	s.out = append(s.out, p...)
	return len(p), nil
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.most)], s.in)
	s.in = s.in[n:]
	return n, nil
}

// quiet returns a wire at rest over s.
func quiet(s *stream) *wire {
	w := newWire(s, newPath(nil), false, false)
	w.status = txIdle
	w.settle()
	return w
}

// whole splits b into the messages at its beginning and what is left.
func whole(b []byte) (types string, rest []byte, ok bool) {
	for len(b) >= headerLen {
		length := binary.BigEndian.Uint32(b[1:])
		if length < 4 {
			return types, b, false
		}
		if uint64(len(b)) < uint64(length)+1 {
			break
		}
		types += string(b[:1])
		b = b[length+1:]
	}
	return types, b, true
}

// FuzzFrontend gives the wire any bytes, cut anywhere, where pgx would write
// messages. It must not panic, must send the same however they were cut, and
// must refuse what it does not know, and statements without a scope.
func FuzzFrontend(f *testing.F) {
	group := append(appendExecute(appendBind(appendParse(nil, "s", "select 1"), "s")), 'S', 0, 0, 0, 4)
	for _, seed := range [][]byte{
		group, appendQuery(nil, nil, []byte("select 1")), appendQuery(group, nil, []byte("begin")),
		{'Q', 0, 0, 0, 4},
		{'Q', 0, 0, 0, 0},
		{'Q', 0, 0, 0, 3, 0},
		{'B', 0, 0, 0, 4},
		{'B', 0, 0, 0, 5, 0},
		{'P', 255, 255, 255, 255},
		{'X', 0, 0, 0, 4},
		{'F', 0, 0, 0, 4},
		{'d', 0, 0, 0, 4},
		{'C', 0, 0, 0, 4, 'S', 0, 0, 0, 4},
	} {
		for a := range armScope + 1 {
			f.Add(seed, byte(a), 1)
			f.Add(append(seed[:len(seed):len(seed)], 'Q', 0, 0, 0, 6, 'x', 0), byte(a), 7)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, a byte, cut int) {
		kind := arm(a) % (armScope + 1)
		send := func(cut int) ([]byte, error) {
			s := &stream{}
			w := quiet(s)
			w.set(kind, scopeA)
			for rest := data; len(rest) > 0; {
				n := min(len(rest), cut)
				if _, err := w.Write(rest[:n]); err != nil {
					return s.out, err
				}
				rest = rest[n:]
			}
			return s.out, nil
		}
		once, err := send(max(1, len(data)))
		pieces, cutErr := send(max(1, cut))
		if (err == nil) != (cutErr == nil) || err == nil && !bytes.Equal(once, pieces) {
			t.Fatalf("whole %q, %v; in pieces %q, %v", once, err, pieces, cutErr)
		}
		types, _, ok := whole(data)
		known := bytes.Trim([]byte(types), "QPBEDCHSdcfX")
		if (!ok || len(known) > 0) && err == nil {
			t.Fatalf("garbage passed: %q", once)
		}
		if sent, _, _ := whole(pieces); kind == armNone && bytes.ContainsAny([]byte(sent), "QPBED") {
			t.Fatalf("sent without a scope: %q", pieces)
		}
	})
}

// FuzzBackend gives the wire any bytes where the server would answer, cut
// anywhere. It must not panic, must give pgx the same however they were cut,
// must not lose or change a byte where nothing is to be dropped, and must
// break the connection over an answer that cannot be.
func FuzzBackend(f *testing.F) {
	for _, seed := range [][]byte{
		appendComplete(nil, "SELECT 1", txIdle),
		append([]byte{'1', 0, 0, 0, 4, '2', 0, 0, 0, 4, 'D', 0, 0, 0, 4}, appendComplete(nil, "SELECT 1", txOpen)...),
		{'Z', 0, 0, 0, 4},
		{'Z', 0, 0, 0, 4, 'Z', 0, 0, 0, 4},
		{'C', 0, 0, 0, 4},
		{'E', 0, 0, 0, 4},
		{'S', 0, 0, 0, 4},
		{'E', 0, 0, 0, 6, 'P', 0},
		{'E', 0, 0, 0, 7, 'P', '9', 0},
		{'E', 0, 0, 0, 9, 'P', '9', '9', 0, 0},
		{'N', 0, 0, 0, 3},
		{'T', 255, 255, 255, 255},
	} {
		for _, skip := range []string{"", "2DC", "12DC", "TDC", "12C12C"} {
			f.Add(seed, skip, 3, 1, 1)
			f.Add(seed, skip, 0, 5, 2)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, skip string, shift, cut, buffer int) {
		hear := func(cut, buffer int) ([]byte, error) {
			w := quiet(&stream{in: bytes.Clone(data), most: cut})
			w.pending = []answer{{skip: skip, shift: max(0, shift)}}
			var got []byte
			p := make([]byte, buffer)
			for {
				n, err := w.Read(p)
				got = append(got, p[:n]...)
				if err != nil {
					return got, err
				}
				if n == 0 {
					t.Fatal("Read returned nothing")
				}
			}
		}
		once, err := hear(1<<20, 1<<16)
		pieces, cutErr := hear(1+max(0, cut)%100, 1+max(0, buffer)%100)
		if !bytes.Equal(once, pieces) || errors.Is(err, errProtocol) != errors.Is(cutErr, errProtocol) {
			t.Fatalf("whole %q, %v; in pieces %q, %v", once, err, pieces, cutErr)
		}
		types, rest, ok := whole(data)
		switch {
		case errors.Is(err, errProtocol):
			return
		case !ok:
			t.Fatalf("an impossible length passed: %q", rest)
		case skip == "" && shift <= 0 && !bytes.HasPrefix(data, once):
			t.Fatalf("%q became %q", data, once)
		case skip == "" && shift <= 0 && len(data)-len(once) > len(rest):
			t.Fatalf("of %q only %q arrived", data, once)
		}
		// What was to be dropped came first, or an error did instead of it.
		for _, c := range []byte(types) {
			if skip == "" || c == 'E' || c == 'Z' {
				break
			}
			if c != 'N' && c != 'A' && c != 'S' {
				if c != skip[0] {
					t.Fatalf("%q came for %q and passed", c, skip)
				}
				skip = skip[1:]
			}
		}
	})
}

// A server that ends a group before its Sync would leave the wire out of step.
func TestReadyForQueryOutOfTurn(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string][]byte{"nothing": nil, "half a group": appendParse(nil, "s", "select 1")} {
		s := &stream{in: []byte{'Z', 0, 0, 0, 5, txIdle}, most: 6}
		w := quiet(s)
		w.set(armScope, scopeA)
		if _, err := w.Write(sent); err != nil {
			t.Fatal(err)
		}
		if n, err := w.Read(make([]byte, 9)); n != 0 || !errors.Is(err, errProtocol) {
			t.Errorf("after %s: %d bytes, %v", name, n, err)
		}
	}
}

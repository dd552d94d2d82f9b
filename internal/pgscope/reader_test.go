package pgscope

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pgx reads in the background when a write takes long. A BEGIN that arrives
// while that reader waits for the server must be answered by the server.
func TestBeginWhileTheReaderWaits(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	w := newWire(client, newPath(nil), false, false)
	w.status = txIdle
	w.set(armBegin, Scope{Owner: "a", Schema: "a"})

	read := make(chan string, 1)
	go func() {
		buf := make([]byte, 64)
		n, _ := w.Read(buf)
		read <- string(buf[:n])
	}()
	waitFor(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.reading
	})
	go func() {
		if _, err := w.Write(appendQuery(nil, nil, []byte("begin"))); err != nil {
			t.Error(err)
		}
	}()
	sent := make([]byte, len(appendQuery(nil, nil, []byte("begin"))))
	if err := server.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, sent); err != nil {
		t.Fatalf("the BEGIN was held back from a reader that waits: %v", err)
	}
	if _, err := server.Write(appendComplete(nil, "BEGIN", txOpen)); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != string(appendComplete(nil, "BEGIN", txOpen)) {
		t.Fatalf("read %q", got)
	}
	if !w.needsPathFor("a") {
		t.Fatal("the first statement would run without a path")
	}
}

func (w *wire) needsPathFor(schema string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scope.Schema = schema
	return w.needsPath()
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 10 s")
		}
		time.Sleep(time.Millisecond)
	}
}

// pgx's closing goroutine reads beside its background reader. The race
// detector is the judge; nothing may be lost either.
func TestTwoReaders(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer client.Close()
	w := newWire(client, newPath(nil), false, false)
	w.status = txIdle
	msg := append([]byte{'N', 0, 0, 0, 13}, "a notice\x00"...)
	const n = 500
	go func() {
		defer server.Close()
		for range n {
			if _, err := server.Write(msg); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	var got atomic.Int64
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			c, _ := io.Copy(io.Discard, w)
			got.Add(c)
		})
	}
	readers.Wait()
	if want := int64(n * len(msg)); got.Load() != want {
		t.Errorf("%d of %d bytes arrived", got.Load(), want)
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gormtenancy/gormtenancy/tests/wirecount"
)

// replay is a PostgreSQL server made of another one's answers. First it asks
// the real server and keeps what it says; after play it answers from that
// record, byte by byte the same request, byte by byte the same answer, without
// allocating. What is not on record still goes to the real server.
//
// A request is all messages up to a Sync or Query, an answer all up to
// ReadyForQuery. It is made for calls that change nothing.
type replay struct {
	listener net.Listener
	upstream *pgconn.Config
	done     context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup
	playing  atomic.Bool
	hits     atomic.Int64
	misses   atomic.Int64
	busy     atomic.Int64 // nanoseconds between a request's arrival and its answer

	// mu guards record, which nobody writes once playing is set.
	mu     sync.RWMutex
	record map[string][]byte
}

// startReplay listens on loopback, and returns dsn with its address.
func startReplay(ctx context.Context, dsn string) (*replay, string, error) {
	upstream, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, "", fmt.Errorf("read DSN: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("listen: %w", err)
	}
	r := &replay{listener: l, upstream: upstream, record: map[string][]byte{}}
	r.done, r.stop = context.WithCancel(ctx)
	context.AfterFunc(r.done, func() { l.Close() })
	r.wg.Go(r.accept)
	redirected, err := wirecount.Redirect(dsn, l.Addr().String())
	if err != nil {
		r.close()
	}
	return r, redirected, err
}

func (r *replay) close() {
	r.stop()
	r.wg.Wait()
}

// play answers from the record from now on.
func (r *replay) play() { r.playing.Store(true) }

// share returns the share of the requests since play that were on record.
func (r *replay) share() float64 {
	hits, misses := float64(r.hits.Load()), float64(r.misses.Load())
	return hits / max(hits+misses, 1)
}

func (r *replay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() {
			defer c.Close()
			defer context.AfterFunc(r.done, func() { c.Close() })()
			_ = r.serve(c) // the client sees the hang-up
		})
	}
}

func (r *replay) serve(client net.Conn) error {
	server, err := r.greet(client)
	if err != nil {
		return err
	}
	defer server.Close()
	defer context.AfterFunc(r.done, func() { server.Close() })()
	in, out := bufio.NewReader(client), bufio.NewReader(server)
	var request []byte
	for {
		if _, err := in.Peek(1); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		arrived := time.Now()
		if request, err = readUntil(in, request[:0], "SQX"); err != nil {
			return err
		}
		answer, err := r.answer(server, out, request)
		if err != nil {
			return err
		}
		r.busy.Add(int64(time.Since(arrived)))
		if _, err := client.Write(answer); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// greet opens the real connection that the client asks for, and admits the
// client in its name.
func (r *replay) greet(client net.Conn) (net.Conn, error) {
	b := pgproto3.NewBackend(client, client)
	msg, err := b.ReceiveStartupMessage()
	if err != nil {
		return nil, fmt.Errorf("read start-up packet: %w", err)
	}
	start, ok := msg.(*pgproto3.StartupMessage)
	if !ok {
		return nil, fmt.Errorf("start-up with %T is not supported: use sslmode=disable", msg)
	}
	cfg := r.upstream.Copy()
	maps.Copy(cfg.RuntimeParams, start.Parameters)
	delete(cfg.RuntimeParams, "user")
	delete(cfg.RuntimeParams, "database")
	conn, err := pgconn.ConnectConfig(r.done, cfg)
	if err != nil {
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	h, err := conn.Hijack()
	if err != nil {
		return nil, fmt.Errorf("take the connection: %w", err)
	}
	b.Send(&pgproto3.AuthenticationOk{})
	for k, v := range h.ParameterStatuses {
		b.Send(&pgproto3.ParameterStatus{Name: k, Value: v})
	}
	b.Send(&pgproto3.BackendKeyData{ProcessID: h.PID, SecretKey: h.SecretKey})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return h.Conn, b.Flush()
}

func (r *replay) answer(server io.Writer, out *bufio.Reader, request []byte) ([]byte, error) {
	if r.playing.Load() {
		r.mu.RLock()
		a, ok := r.record[string(request)]
		r.mu.RUnlock()
		if ok {
			r.hits.Add(1)
			return a, nil
		}
		r.misses.Add(1)
	}
	if _, err := server.Write(request); err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	a, err := readUntil(out, nil, "Z")
	if err == nil && !r.playing.Load() {
		r.mu.Lock()
		r.record[string(request)] = a
		r.mu.Unlock()
	}
	return a, err
}

// readUntil appends whole messages to buf, up to one of the given types.
func readUntil(in *bufio.Reader, buf []byte, types string) ([]byte, error) {
	for {
		head, err := in.Peek(5)
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		typ, begin := head[0], len(buf)
		n := 1 + int(binary.BigEndian.Uint32(head[1:]))
		buf = append(buf, make([]byte, n)...)
		if _, err := io.ReadFull(in, buf[begin:]); err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		if strings.IndexByte(types, typ) >= 0 {
			return buf, nil
		}
	}
}

package wirecount

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	defaultLogLimit = 10_000
	dialTimeout     = 10 * time.Second
)

// Options tune a proxy. The zero value counts and adds no latency.
type Options struct {
	// Latency is what a round trip costs more, half of it in each direction.
	Latency time.Duration
	// LogLimit bounds the log of messages. 0 means 10,000, negative no log.
	LogLimit int
}

// Proxy is a running proxy. Its methods may be called at any time, by many
// goroutines.
type Proxy struct {
	upstream string
	options  Options
	listener net.Listener
	done     context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup

	// mu guards what follows. It is never held while data moves.
	mu    sync.Mutex
	count Count
	log   []Message
	last  int // number of the youngest connection
}

// Start listens on a free port of 127.0.0.1 and forwards to the server at
// upstream ("host:port", or the path of a Unix socket). It runs until Close or
// the end of ctx.
func Start(ctx context.Context, upstream string, o Options) (*Proxy, error) {
	if o.LogLimit == 0 {
		o.LogLimit = defaultLogLimit
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy: %w", err)
	}
	p := &Proxy{upstream: upstream, options: o, listener: l, count: newCount()}
	p.done, p.stop = context.WithCancel(ctx)
	context.AfterFunc(p.done, func() { l.Close() })
	p.wg.Go(p.accept)
	return p, nil
}

// Addr returns the proxy's "host:port".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close cuts all connections and returns when nothing of the proxy runs any
// more. A second call has no effect.
func (p *Proxy) Close() {
	p.stop()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.wg.Go(func() { p.serve(c) })
		}
	}
}

// serve forwards for one client until one of the two sides hangs up.
func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	defer context.AfterFunc(p.done, func() { client.Close() })()
	first, err := greet(client)
	if err != nil {
		return
	}
	server, err := p.dial()
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(p.done, func() { server.Close() })()
	if isCancel(first) {
		p.forwardCancel(client, server, first)
		return
	}
	p.newSession(client, server).run(first)
}

func (p *Proxy) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(p.done, dialTimeout)
	defer cancel()
	var d net.Dialer
	if strings.HasPrefix(p.upstream, "/") {
		return d.DialContext(ctx, "unix", p.upstream)
	}
	return d.DialContext(ctx, "tcp", p.upstream)
}

// forwardCancel hands a cancel request on. The server answers by hanging up
// when it has taken note, and the client waits for that.
func (p *Proxy) forwardCancel(client, server net.Conn, request []byte) {
	p.mu.Lock()
	p.count.Cancels++
	p.mu.Unlock()
	if _, err := server.Write(request); err == nil {
		server.Read(make([]byte, 1)) //nolint:errcheck // the hang-up is the answer
	}
}

package registry

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a registry and its database, and can be cut.
type proxy struct {
	target string
	addr   string
	mu     sync.Mutex
	ln     net.Listener
	conns  []net.Conn
	wg     sync.WaitGroup
}

func newProxy(t testing.TB) *proxy {
	t.Helper()
	p := &proxy{target: address(t, newDatabase(t)), addr: "127.0.0.1:0"}
	p.restore(t)
	p.addr = p.ln.Addr().String()
	t.Cleanup(p.cut)
	return p
}

// dsn leads dsn through the proxy.
func (p *proxy) dsn(dsn string) string { return strings.Replace(dsn, p.target, p.addr, 1) }

// cut ends all connections, and refuses new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	if p.ln != nil {
		p.ln.Close()
		p.ln = nil
	}
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *proxy) restore(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.ln = ln
	p.mu.Unlock()
	p.wg.Add(1)
	go p.serve(ln)
}

func (p *proxy) serve(ln net.Listener) {
	defer p.wg.Done()
	for {
		a, err := ln.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp", p.target)
		if err != nil {
			a.Close()
			continue
		}
		p.mu.Lock()
		open := p.ln == ln
		if open {
			p.conns = append(p.conns, a, b)
		}
		p.mu.Unlock()
		if !open { // cut after it was accepted
			a.Close()
			b.Close()
			return
		}
		p.wg.Add(2)
		go p.copy(a, b)
		go p.copy(b, a)
	}
}

func (p *proxy) copy(to, from net.Conn) {
	defer p.wg.Done()
	_, _ = io.Copy(to, from)
	to.Close()
	from.Close()
}

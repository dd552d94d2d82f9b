package wirecount

import (
	"net"
	"sync"
	"time"
)

const (
	chunkSize  = 32 << 10
	queueDepth = 256 // chunks on their way in one direction, with latency
)

// session is one connection of a client and its counterpart at the server.
type session struct {
	p              *Proxy
	id             int
	client, server net.Conn

	// mu guards what the two directions tell each other. The proxy's mu may
	// be taken while it is held, never the other way round.
	mu      sync.Mutex
	waiting bool // the client has sent and was not answered yet
	started bool // the first ReadyForQuery has been forwarded

	prepared map[string]string // text by statement name; the client's direction only
	ready    bool              // a ReadyForQuery was read; the server's direction only
}

// chunk is data on its way, to be written when due.
type chunk struct {
	data  []byte
	due   time.Time
	ready bool // it holds the end of a connection's start
}

func (p *Proxy) newSession(client, server net.Conn) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	p.count.Connections++
	return &session{p: p, id: p.last, client: client, server: server, prepared: map[string]string{}}
}

// run forwards both directions until both have ended. first is the start-up
// packet, which was read already.
func (s *session) run(first []byte) {
	toServer, toClient := s.direction(s.server, nil), s.direction(s.client, s.answered)
	s.spoke(len(first))
	toServer.send(chunk{data: first})
	var wg sync.WaitGroup
	wg.Go(func() { s.copyClient(toServer) })
	wg.Go(func() { s.copyServer(toClient) })
	wg.Wait()
}

// hangUp ends both directions: neither side of a PostgreSQL connection has
// anything to say to one that is gone.
func (s *session) hangUp() {
	s.client.Close()
	s.server.Close()
}

func (s *session) copyClient(d *direction) {
	sc := scanner{wants: carriesText, message: s.frontend}
	copyChunks(s.client, d, func(data []byte) chunk {
		s.spoke(len(data))
		sc.feed(data)
		return chunk{data: data}
	})
}

func (s *session) copyServer(d *direction) {
	sc := scanner{message: s.backend}
	copyChunks(s.server, d, func(data []byte) chunk {
		s.ready = false
		sc.feed(data)
		return chunk{data: data, ready: s.ready}
	})
}

// copyChunks reads until the source ends, shows what it read and sends it on.
func copyChunks(from net.Conn, to *direction, see func([]byte) chunk) {
	defer to.close()
	buf := make([]byte, chunkSize)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			to.send(see(append([]byte(nil), buf[:n]...)))
		}
		if err != nil {
			return
		}
	}
}

// spoke notes that the client has sent.
func (s *session) spoke(bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = true
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.count.BytesToServer += int64(bytes)
}

// answered notes that c is about to reach the client: before it does, so that
// a client which has its answer finds it counted.
func (s *session) answered(c chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.count.BytesToClient += int64(len(c.data))
	if s.waiting && s.started {
		s.p.count.RoundTrips++
	} else if s.waiting {
		s.p.count.StartupRoundTrips++
	}
	s.waiting = false
	s.started = s.started || c.ready
}

// frontend counts and logs one message of the client.
func (s *session) frontend(typ byte, body []byte) {
	m := Message{Conn: s.id, Type: typ, SQL: s.text(typ, body)}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.count.Frontend[typ]++
	if typ == 'Q' || typ == 'E' {
		s.p.count.Statements++
	}
	if len(s.p.log) < s.p.options.LogLimit {
		s.p.log = append(s.p.log, m)
	}
}

// text returns the SQL that a message stands for, and keeps track of the
// connection's prepared statements.
func (s *session) text(typ byte, body []byte) string {
	switch typ {
	case 'Q':
		sql, _ := cstring(body)
		return sql
	case 'P':
		name, rest := cstring(body)
		sql, _ := cstring(rest)
		s.prepared[name] = sql
		return sql
	case 'B':
		_, rest := cstring(body)
		name, _ := cstring(rest)
		return s.prepared[name]
	}
	return ""
}

func (s *session) backend(typ byte, _ []byte) {
	s.ready = s.ready || typ == 'Z'
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.count.Backend[typ]++
}

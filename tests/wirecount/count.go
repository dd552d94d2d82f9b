package wirecount

import "maps"

// Count is a snapshot of what passed since Start or the last Reset.
type Count struct {
	Connections       int // connections that a client opened, cancel requests not among them
	Cancels           int // cancel requests
	RoundTrips        int // bursts of the client that the server answered, after the start
	StartupRoundTrips int // the same, up to a connection's first ReadyForQuery
	Statements        int // Query and Execute messages: what the server was asked to run
	Frontend          map[byte]int
	Backend           map[byte]int
	BytesToServer     int64
	BytesToClient     int64
}

// Sub returns what happened between the snapshots earlier and c.
func (c Count) Sub(earlier Count) Count {
	return Count{
		Connections:       c.Connections - earlier.Connections,
		Cancels:           c.Cancels - earlier.Cancels,
		RoundTrips:        c.RoundTrips - earlier.RoundTrips,
		StartupRoundTrips: c.StartupRoundTrips - earlier.StartupRoundTrips,
		Statements:        c.Statements - earlier.Statements,
		Frontend:          subtract(c.Frontend, earlier.Frontend),
		Backend:           subtract(c.Backend, earlier.Backend),
		BytesToServer:     c.BytesToServer - earlier.BytesToServer,
		BytesToClient:     c.BytesToClient - earlier.BytesToClient,
	}
}

func subtract(a, b map[byte]int) map[byte]int {
	d := make(map[byte]int, len(a))
	for t, n := range a {
		if n -= b[t]; n != 0 {
			d[t] = n
		}
	}
	return d
}

func (c Count) clone() Count {
	c.Frontend = maps.Clone(c.Frontend)
	c.Backend = maps.Clone(c.Backend)
	return c
}

func newCount() Count {
	return Count{Frontend: map[byte]int{}, Backend: map[byte]int{}}
}

// Message is one message of a client, after its connection's start.
type Message struct {
	Conn int  // number of the connection, from 1 in the order of their coming
	Type byte // the protocol's type byte: 'Q' Query, 'P' Parse, 'B' Bind, 'E' Execute, 'X' Terminate ...
	// SQL is the text of a Query or Parse, and for a Bind the text of the
	// statement that it binds. Texts beyond 64 KiB are cut.
	SQL string
}

// Count returns a snapshot.
func (p *Proxy) Count() Count {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count.clone()
}

// Messages returns the client messages since Start or the last Reset, in the
// order of their coming, at most Options.LogLimit of them.
func (p *Proxy) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Message(nil), p.log...)
}

// Statements returns the SQL texts that the server was asked to run, in order:
// of every Query, and of every Bind. What was only prepared is not among them.
func (p *Proxy) Statements() []string {
	var texts []string
	for _, m := range p.Messages() {
		if m.Type == 'Q' || m.Type == 'B' {
			texts = append(texts, m.SQL)
		}
	}
	return texts
}

// Reset sets the counts to zero and empties the log. Open connections go on;
// the texts of their prepared statements stay known.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count, p.log = newCount(), nil
}

package wirecount

import (
	"net"
	"time"
)

// direction writes to one side of a session: at once, or, with latency, from a
// goroutine of its own which writes each chunk when it is due.
type direction struct {
	to     net.Conn
	before func(chunk) // called right before a chunk is written, may be nil
	delay  time.Duration
	hangUp func()
	queue  chan chunk
	gone   chan struct{} // closed when the goroutine has ended
}

func (s *session) direction(to net.Conn, before func(chunk)) *direction {
	d := &direction{to: to, before: before, delay: s.p.options.Latency / 2, hangUp: s.hangUp}
	if d.delay > 0 {
		d.queue, d.gone = make(chan chunk, queueDepth), make(chan struct{})
		go d.drain()
	}
	return d
}

// send writes c, or queues it. Errors are not reported: who cannot be written
// to is hung up on, and the reading side notices.
func (d *direction) send(c chunk) {
	if d.delay == 0 {
		d.write(c)
		return
	}
	c.due = time.Now().Add(d.delay)
	d.queue <- c
}

func (d *direction) write(c chunk) {
	if d.before != nil {
		d.before(c)
	}
	if _, err := d.to.Write(c.data); err != nil {
		d.hangUp()
	}
}

// close lets what is queued arrive, then hangs up.
func (d *direction) close() {
	if d.queue != nil {
		close(d.queue)
		<-d.gone
	}
	d.hangUp()
}

func (d *direction) drain() {
	defer close(d.gone)
	defer preciseThread()()
	for c := range d.queue {
		sleepUntil(c.due)
		d.write(c)
	}
}

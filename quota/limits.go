package quota

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrInvalidLimits says that limits cannot be read, or make no sense.
var ErrInvalidLimits = errors.New("invalid limits")

// Duration is a time.Duration that is a Go string in JSON, such as "1.5s".
type Duration time.Duration

// String returns the duration as Go writes it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%.64q is no duration: write it like \"1.5s\"", text)
	}
	*d = Duration(v)
	return nil
}

// Limits are what a tenant may use. A field that is zero is no limit. In JSON
// it is an object of the names below, which refuses names that it does not
// know, negative values and durations that PostgreSQL could not keep.
type Limits struct {
	// StatementsPerSecond is the lasting rate of statements.
	StatementsPerSecond float64 `json:"statements_per_second,omitempty"`
	// StatementBurst is how many may come at once after a quiet time. Default:
	// one second's worth, at least 1.
	StatementBurst int `json:"statement_burst,omitempty"`
	// RequestsPerSecond is the lasting rate of requests.
	RequestsPerSecond float64 `json:"requests_per_second,omitempty"`
	// RequestBurst is to requests what StatementBurst is to statements.
	RequestBurst int `json:"request_burst,omitempty"`
	// Concurrency is how many statements and transactions may be under way at
	// the same time, in one process.
	Concurrency int `json:"concurrency,omitempty"`
	// Queue is how many more may wait for their turn; without it the next is refused.
	Queue int `json:"queue,omitempty"`
	// QueueTimeout is how long one may wait. Default DefaultQueueTimeout.
	QueueTimeout Duration `json:"queue_timeout,omitempty"`
	// DatabaseShare is how many seconds of database time a second the statements may
	// take, on average, in one process: 0.5 is half of one connection. Who has taken more
	// is refused until it is made up for.
	DatabaseShare float64 `json:"database_share,omitempty"`
	// Connections bounds the tenant's connections to one node, in one process.
	Connections int `json:"connections,omitempty"`
	// RowsPerResult is how many rows one result may have.
	RowsPerResult int64 `json:"rows_per_result,omitempty"`
	// StatementTimeout is PostgreSQL's statement_timeout.
	StatementTimeout Duration `json:"statement_timeout,omitempty"`
	// IdleInTransactionTimeout is PostgreSQL's idle_in_transaction_session_timeout.
	IdleInTransactionTimeout Duration `json:"idle_in_transaction_timeout,omitempty"`
	// StorageBytes is how large the tenant's schema may grow.
	StorageBytes int64 `json:"storage_bytes,omitempty"`
}

// DefaultQueueTimeout is Limits.QueueTimeout where there is a queue and no timeout.
const DefaultQueueTimeout = 5 * time.Second

// maxTimeout is the longest time that a PostgreSQL setting holds.
const maxTimeout = Duration(math.MaxInt32 * time.Millisecond)

// maxRate keeps arithmetic with rates exact.
const maxRate = 1e9

// field is one of Limits, by its name in JSON.
type field struct {
	name string
	of   func(*Limits) any // *float64, *int, *int64 or *Duration
}

// fields are in the order in which errors name them.
var fields = [...]field{
	{LimitStatements, func(l *Limits) any { return &l.StatementsPerSecond }},
	{"statement_burst", func(l *Limits) any { return &l.StatementBurst }},
	{LimitRequests, func(l *Limits) any { return &l.RequestsPerSecond }},
	{"request_burst", func(l *Limits) any { return &l.RequestBurst }},
	{LimitConcurrency, func(l *Limits) any { return &l.Concurrency }},
	{"queue", func(l *Limits) any { return &l.Queue }},
	{"queue_timeout", func(l *Limits) any { return &l.QueueTimeout }},
	{LimitDatabase, func(l *Limits) any { return &l.DatabaseShare }},
	{LimitConnections, func(l *Limits) any { return &l.Connections }},
	{LimitRows, func(l *Limits) any { return &l.RowsPerResult }},
	{"statement_timeout", func(l *Limits) any { return &l.StatementTimeout }},
	{"idle_in_transaction_timeout", func(l *Limits) any { return &l.IdleInTransactionTimeout }},
	{LimitStorage, func(l *Limits) any { return &l.StorageBytes }},
}

// Validate returns an error that wraps ErrInvalidLimits and names the first
// field that makes no sense, or nil.
func (l Limits) Validate() error {
	for _, f := range fields {
		if reason := bad(f.of(&l)); reason != "" {
			return fmt.Errorf("%w: %s %s", ErrInvalidLimits, f.name, reason)
		}
	}
	return nil
}

func bad(value any) string {
	negative := false
	switch v := value.(type) {
	case *float64:
		if math.IsNaN(*v) || math.IsInf(*v, 0) {
			return "is no number"
		}
		if *v > maxRate {
			return fmt.Sprintf("is %g: want at most %g, or leave it out for no limit", *v, maxRate)
		}
		negative = *v < 0
	case *int:
		negative = *v < 0
	case *int64:
		negative = *v < 0
	case *Duration:
		if *v > 0 && *v < Duration(time.Millisecond) || *v > maxTimeout {
			return fmt.Sprintf("is %s: want 1ms to %s", *v, maxTimeout)
		}
		negative = *v < 0
	}
	if negative {
		return "is negative: want more than 0, or leave it out for no limit"
	}
	return ""
}

// UnmarshalJSON replaces l by what data says. The error wraps ErrInvalidLimits.
func (l *Limits) UnmarshalJSON(data []byte) error {
	next, err := Limits{}.With(data)
	if err == nil {
		*l = next
	}
	return err
}

// With returns l with an exception laid over it: a JSON object whose fields take
// the place of l's, and whose null removes a limit. The error wraps
// ErrInvalidLimits.
func (l Limits) With(exception json.RawMessage) (Limits, error) {
	p, err := parsePatch(exception)
	if err != nil {
		return Limits{}, err
	}
	return p.over(l), nil
}

// patch is an exception that was read: the fields that it sets, or removes by zero.
type patch struct {
	values Limits
	set    uint32 // by index in fields
}

func parsePatch(exception json.RawMessage) (patch, error) {
	var p patch
	if len(bytes.TrimSpace(exception)) == 0 {
		return p, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(exception, &object); err != nil {
		return p, fmt.Errorf("%w: want a JSON object such as {\"%s\": 100}: %w", ErrInvalidLimits, LimitStatements, err)
	}
	return p, p.read(object)
}

// read takes each field out of the object; what remains is unknown.
func (p *patch) read(object map[string]json.RawMessage) error {
	for i, f := range fields {
		raw, ok := object[f.name]
		if !ok {
			continue
		}
		delete(object, f.name)
		p.set |= 1 << i
		if string(raw) == "null" {
			continue
		}
		if err := json.Unmarshal(raw, f.of(&p.values)); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvalidLimits, f.name, err)
		}
	}
	for name := range object {
		return fmt.Errorf("%w: no limit is called %.64q: want one of %s", ErrInvalidLimits, name, names())
	}
	return p.values.Validate()
}

func names() string {
	var b bytes.Buffer
	for i, f := range fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.name)
	}
	return b.String()
}

// over returns l with the patch laid over it.
func (p *patch) over(l Limits) Limits {
	for i, f := range fields {
		if p.set&(1<<i) == 0 {
			continue
		}
		switch to := f.of(&l).(type) {
		case *float64:
			*to = *f.of(&p.values).(*float64)
		case *int:
			*to = *f.of(&p.values).(*int)
		case *int64:
			*to = *f.of(&p.values).(*int64)
		case *Duration:
			*to = *f.of(&p.values).(*Duration)
		}
	}
	return l
}

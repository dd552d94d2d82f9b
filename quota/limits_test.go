package quota

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestLimitsJSON(t *testing.T) {
	t.Parallel()
	const text = `{"statements_per_second":2.5,"statement_burst":7,"requests_per_second":10,"concurrency":4,"queue":9,` +
		`"queue_timeout":"1.5s","connections":3,"rows_per_result":1000,"statement_timeout":"5s",` +
		`"idle_in_transaction_timeout":"1m0s","storage_bytes":1073741824}`
	var l Limits
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatal(err)
	}
	if time.Duration(l.QueueTimeout) != 1500*time.Millisecond || l.StatementsPerSecond != 2.5 || l.StorageBytes != 1<<30 {
		t.Errorf("%+v", l)
	}
	if got, err := json.Marshal(l); err != nil || string(got) != text {
		t.Errorf("%s, %v: want %s", got, err, text)
	}
	if got, err := json.Marshal(Limits{}); err != nil || string(got) != "{}" {
		t.Errorf("no limits: %s, %v", got, err)
	}
	var lane Lane
	if err := json.Unmarshal([]byte(`{"read_replicas_only":true,"concurrency":1}`), &lane); err != nil || !lane.ReadReplicasOnly || lane.Concurrency != 1 {
		t.Errorf("%+v, %v", lane, err)
	}
	if got, err := json.Marshal(lane); err != nil || string(got) != `{"concurrency":1,"read_replicas_only":true}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestBadLimits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"statments_per_second":1}`:          `no limit is called "statments_per_second"`,
		`{"Concurrency":1}`:                   `no limit is called "Concurrency"`,
		`{"concurrency":-1}`:                  "concurrency is negative",
		`{"statements_per_second":-0.1}`:      "statements_per_second is negative",
		`{"requests_per_second":1e10}`:        "at most 1e+09",
		`{"storage_bytes":-1}`:                "storage_bytes is negative",
		`{"queue_timeout":"-1s"}`:             "queue_timeout is negative",
		`{"statement_timeout":"10us"}`:        "want 1ms",
		`{"statement_timeout":"9000h"}`:       "want 1ms",
		`{"statement_timeout":5}`:             "statement_timeout",
		`{"statement_timeout":"soon"}`:        `"1.5s"`,
		`{"concurrency":1.5}`:                 "concurrency",
		`{"concurrency":"2"}`:                 "concurrency",
		`[1]`:                                 "want a JSON object",
		`{"concurrency":1} {"concurrency":2}`: "want a JSON object",
	} {
		_, err := Limits{}.With(json.RawMessage(text))
		if !errors.Is(err, ErrInvalidLimits) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		var l Limits
		var lane Lane
		if json.Unmarshal([]byte(text), &l) == nil || json.Unmarshal([]byte(text), &lane) == nil {
			t.Errorf("%s is read", text)
		}
	}
	for _, l := range []Limits{{StatementsPerSecond: math.Inf(1)}, {RequestsPerSecond: math.NaN()}, {Queue: -1}} {
		if err := l.Validate(); !errors.Is(err, ErrInvalidLimits) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	base := Limits{StatementsPerSecond: 10, Concurrency: 5, StatementTimeout: Duration(time.Second), StorageBytes: 100}
	for text, want := range map[string]Limits{
		``:     base,
		`null`: base,
		`{}`:   base,
		`{"concurrency":7,"queue":1}`: {
			StatementsPerSecond: 10, Concurrency: 7, Queue: 1, StatementTimeout: Duration(time.Second), StorageBytes: 100,
		},
		`{"statements_per_second":null,"concurrency":null,"statement_timeout":null,"storage_bytes":null}`: {},
	} {
		if got, err := base.With(json.RawMessage(text)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestEffective(t *testing.T) {
	t.Parallel()
	now := time.Now()
	base := Policy{
		Tiers: map[tenant.Tier]Limits{
			"pro":              {StatementsPerSecond: 100, Concurrency: 10, Queue: 50, StorageBytes: 1000, RowsPerResult: 5},
			tenant.TierDefault: {StatementsPerSecond: 10},
			TierAny:            {StatementsPerSecond: 1},
		},
		Tenants: map[tenant.ID]json.RawMessage{
			"exceptional": json.RawMessage(`{"statements_per_second":500,"storage_bytes":null}`),
		},
		Lane: Lane{Limits: Limits{StatementsPerSecond: 5, Concurrency: 2, StatementTimeout: Duration(time.Second), RowsPerResult: 9}, ReadReplicasOnly: true},
		Quarantined: map[tenant.ID]Quarantine{
			"noisy": {Until: now.Add(time.Minute)}, "dry": {Until: now.Add(time.Minute), DryRun: true}, "past": {Until: now},
		},
		Full: map[tenant.ID]int64{"big": 1000, "raised": 999, "exceptional": 5000},
	}
	p, broken, err := compile(base, nil)
	if broken != nil || err != nil {
		t.Fatal(broken, err)
	}
	pro := Limits{StatementsPerSecond: 100, StatementBurst: 100, Concurrency: 10, Queue: 50, QueueTimeout: Duration(DefaultQueueTimeout), StorageBytes: 1000, RowsPerResult: 5}
	exceptional := pro
	exceptional.StatementsPerSecond, exceptional.StatementBurst, exceptional.StorageBytes = 500, 500, 0
	lane := Limits{StatementsPerSecond: 5, StatementBurst: 5, Concurrency: 2, QueueTimeout: Duration(DefaultQueueTimeout), StatementTimeout: Duration(time.Second), StorageBytes: 1000, RowsPerResult: 5}
	for _, tt := range []struct {
		id   tenant.ID
		tier tenant.Tier
		want Effective
	}{
		{"acme", "pro", Effective{Limits: pro}},
		{"acme", "", Effective{Limits: Limits{StatementsPerSecond: 10, StatementBurst: 10}}},
		{"acme", "odd", Effective{Limits: Limits{StatementsPerSecond: 1, StatementBurst: 1}}},
		{"exceptional", "pro", Effective{Limits: exceptional}},
		{"noisy", "pro", Effective{Limits: lane, Quarantined: true, ReadReplicasOnly: true, until: now.Add(time.Minute).UnixNano()}},
		{"dry", "pro", Effective{Limits: pro}},
		{"past", "pro", Effective{Limits: pro}},
		{"big", "pro", Effective{Limits: pro, Full: true}},
		{"raised", "pro", Effective{Limits: pro}},
	} {
		got := *p.effective(&tenant.Tenant{ID: tt.id, Tier: tt.tier}, now)
		tt.want.policy, tt.want.tier = p, tt.tier
		if got != tt.want {
			t.Errorf("%s, %q: %+v, want %+v", tt.id, tt.tier, got, tt.want)
		}
	}
	none, _, err := compile(Policy{}, nil)
	if got := none.effective(acme, now).Limits; err != nil || got != (Limits{}) {
		t.Errorf("no policy: %+v, %v", got, err)
	}
}

func TestStricter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ a, b, want Limits }{
		{Limits{Concurrency: 20, Queue: 100}, Limits{Concurrency: 2}, Limits{Concurrency: 2}},
		{Limits{}, Limits{Concurrency: 2, Queue: 3}, Limits{Concurrency: 2, Queue: 3}},
		{Limits{StatementsPerSecond: 100}, Limits{StatementsPerSecond: 10}, Limits{StatementsPerSecond: 10, StatementBurst: 10}},
		{Limits{StatementsPerSecond: 5, StatementBurst: 50}, Limits{StatementsPerSecond: 10}, Limits{StatementsPerSecond: 5, StatementBurst: 10}},
		{Limits{StatementsPerSecond: 0.5}, Limits{}, Limits{StatementsPerSecond: 0.5, StatementBurst: 1}},
	} {
		for _, got := range []Limits{tt.a.Stricter(tt.b), tt.b.Stricter(tt.a)} {
			got.QueueTimeout = 0
			if got != tt.want {
				t.Errorf("%+v and %+v: %+v, want %+v", tt.a, tt.b, got, tt.want)
			}
		}
	}
}

// FuzzWith: whatever an exception says, it is refused, or it sets what it names
// and nothing else, and reads back as it is written.
func FuzzWith(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"concurrency":3}`, `{"concurrency":null}`, `{"queue_timeout":"1.5s","queue":1}`, `{"x":1}`,
		`{"statements_per_second":1e308}`, `{"concurrency":1,"concurrency":null}`, `{"storage_bytes":9223372036854775808}`, `{"statement_timeout":"1ns"}`,
	} {
		f.Add(s)
	}
	base := Limits{StatementsPerSecond: 10, Concurrency: 5, Queue: 2, StatementTimeout: Duration(time.Second), StorageBytes: 100}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := base.With(json.RawMessage(text))
		if err != nil {
			if !errors.Is(err, ErrInvalidLimits) || got != (Limits{}) {
				t.Fatalf("%q: %+v, %v", text, got, err)
			}
			return
		}
		if err := got.Validate(); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		written, err := json.Marshal(got)
		var back Limits
		if err != nil || json.Unmarshal(written, &back) != nil || back != got {
			t.Fatalf("%q: %s reads back as %+v, %v", text, written, back, err)
		}
		var object map[string]json.RawMessage
		_ = json.Unmarshal([]byte(text), &object)
		for _, f := range fields {
			_, named := object[f.name]
			a, _ := json.Marshal(f.of(&got))
			b, _ := json.Marshal(f.of(&base))
			if !named && string(a) != string(b) {
				t.Fatalf("%q changed %s from %s to %s", text, f.name, b, a)
			}
		}
		if s := got.Stricter(base); s.Validate() != nil || s != base.Stricter(got) {
			t.Fatalf("%q: stricter is not the same both ways: %+v", text, s)
		}
	})
}

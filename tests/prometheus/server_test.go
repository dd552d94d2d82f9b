package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program finds one of Prometheus' programs.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s on this machine: install the Debian package prometheus to run this test", name)
	}
	return path
}

// server is a Prometheus that scrapes app.
type server struct {
	t   *testing.T
	url string
	log bytes.Buffer
}

const config = `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: app
    metrics_path: /
    static_configs: [{targets: [%q]}]
`

// startServer starts a Prometheus, and returns when it has scraped app.
func startServer(t *testing.T, flags ...string) *server {
	t.Helper()
	path, dir := program(t, "prometheus"), t.TempDir()
	rules, err := filepath.Abs("../../metrics/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(config, rules, strings.TrimPrefix(app.web.URL, "http://"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	s := &server{t: t, url: "http://" + address}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, path, append(flags, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is ended by a signal
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	s.until("it scrapes", func() bool { return s.value("up") == 1 })
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// until polls, as Prometheus works by a clock of its own.
func (s *server) until(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// sample is one series of an answer.
type sample struct {
	Metric map[string]string
	Value  [2]any // time, text
}

// ask sends a query, and decodes the data of the answer.
func (s *server) ask(path string, query url.Values, data any) error {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return nil
}

// query returns the series of a query's answer.
func (s *server) query(expr string) ([]sample, error) {
	var data struct{ Result []sample }
	err := s.ask("/api/v1/query", url.Values{"query": {expr}}, &data)
	return data.Result, err
}

// value returns the only number of a query's answer; -1 if there is none.
func (s *server) value(expr string) (v float64) {
	found, err := s.query(expr)
	if err != nil || len(found) != 1 {
		return -1
	}
	if _, err := fmt.Sscan(found[0].Value[1].(string), &v); err != nil {
		s.t.Error(err)
	}
	return v
}

// scraped does some work, and returns when it has been scraped twice: rates need two
// samples.
func (s *server) scraped(work func()) {
	s.t.Helper()
	samples := func() float64 { return s.value("count_over_time(up[1h])") }
	s.until("a scrape", func() bool { return samples() >= 1 })
	work()
	n := samples()
	s.until("more scrapes", func() bool { return samples() >= n+3 })
}

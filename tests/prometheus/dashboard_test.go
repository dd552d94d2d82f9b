package prometheus

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const dashboardFile = "../../metrics/grafana/gormtenancy.json"

// dashboard is what matters here of Grafana's format.
type dashboard struct {
	UID    string
	Panels []struct {
		ID      int
		Type    string
		Title   string
		Targets []struct{ RefID, Expr string }
		GridPos struct{ X, Y, W, H int }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDashboardIsWellFormed(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	if d.UID == "" || len(d.Panels) < 20 {
		t.Errorf("uid %q, %d panels", d.UID, len(d.Panels))
	}
	ids := map[int]string{}
	for _, p := range d.Panels {
		if other, taken := ids[p.ID]; taken || p.ID == 0 {
			t.Errorf("%s has the id %d of %q", p.Title, p.ID, other)
		}
		ids[p.ID] = p.Title
		if at := p.GridPos; at.W <= 0 || at.H <= 0 || at.X < 0 || at.X+at.W > 24 {
			t.Errorf("%s is at %+v", p.Title, at)
		}
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("%s is a %s with %d queries", p.Title, p.Type, len(p.Targets))
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if refs[q.RefID] || q.RefID == "" || q.Expr == "" {
				t.Errorf("%s: query %q: %q", p.Title, q.RefID, q.Expr)
			}
			refs[q.RefID] = true
		}
	}
}

// Whatever the dashboard, the rules and their tests name is there under that name.
func TestNames(t *testing.T) {
	t.Parallel()
	exposed := app.names(t)
	files, err := filepath.Glob("../../metrics/prometheus/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	names := regexp.MustCompile(`\bgormtenancy(_[a-z0-9_]+|:[a-z0-9_]+:[a-z0-9_]+)`)
	recorded := regexp.MustCompile(`(?m)^\s*- record: (\S+)$`)
	used := map[string]string{}
	for _, file := range append(files, dashboardFile) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range recorded.FindAllStringSubmatch(string(text), -1) {
			exposed[m[1]] = true
		}
		for _, name := range names.FindAllString(string(text), -1) {
			used[name] = filepath.Base(file)
		}
	}
	if len(used) < 25 {
		t.Errorf("only %d names", len(used))
	}
	for name, file := range used {
		if !exposed[name] {
			t.Errorf("%s in %s: no process exposes it", name, file)
		}
	}
}

// names returns those of all series that are exposed.
func (a *application) names(t *testing.T) map[string]bool {
	t.Helper()
	families, err := a.gathered.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, f := range families {
		all[f.GetName()] = true
		if f.GetMetric()[0].GetHistogram() != nil {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				all[f.GetName()+part] = true
			}
		}
	}
	return all
}

// Each alert fires for what it is for, and not before.
func TestRules(t *testing.T) {
	t.Parallel()
	promtool := program(t, "promtool")
	for _, args := range []string{"check rules rules.yml", "test rules rules_test.yml"} {
		cmd := exec.CommandContext(t.Context(), promtool, strings.Fields(args)...)
		cmd.Dir = "../../metrics/prometheus"
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "SUCCESS") {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
}

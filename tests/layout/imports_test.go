package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gormtenancy/gormtenancy"

// floors are the packages by height: imports go down only. A folder stands for
// what is below it, too.
var floors = map[string]int{
	"tenant": 0, "metrics/outlier": 1, "quota": 1, "quota/redislimit": 2, "metrics": 3, "metrics/oteltrace": 3, "internal/ring": 0, "internal/service": 0, "internal/sqltext": 0, "internal/pgcluster": 0, "internal/pgdsn": 0, "internal/pgtool": 0, "internal/redisconn": 0,
	"internal/pgscope": 1, "internal/structure": 1,
	"internal/pool": 2, "internal/portable": 2, "migrations": 2, "middleware": 2,
	"resolver": 3, "registry": 3,
	"plugin": 4, "warden": 4, "registry/rediscache": 4, "internal/doctor": 4,
	"tenanttest": 5, "internal/pgtest": 5, "internal/ctl": 5,
	"cmd": 6, "examples": 6, "tests": 6,
}

// links are the modules that only some packages may link, however indirectly.
var links = []struct {
	prefix string
	only   []string
}{
	{"gorm.io/", []string{"resolver", "plugin", "tenanttest", "tests", "examples"}},
	{"github.com/labstack/", []string{"middleware", "tests", "examples"}},
	{"github.com/prometheus/", []string{"metrics", "plugin", "warden", "tenanttest", "tests", "examples"}},
	{"github.com/DataDog/", []string{"metrics", "plugin", "warden", "tenanttest", "tests", "examples"}},
	{"go.opentelemetry.io/", []string{"metrics/oteltrace", "tests", "examples"}},
	{"github.com/pressly/goose", []string{"migrations", "registry", "registry/rediscache", "internal/doctor", "plugin", "warden", "internal/ctl", "cmd", "tenanttest", "tests", "examples"}},
	{"github.com/spf13/", []string{"internal/ctl", "cmd"}},
	{"github.com/redis/", []string{"internal/redisconn", "registry/rediscache", "quota/redislimit", "tests", "examples"}},
	{"github.com/go-redis/", []string{"quota/redislimit", "tests", "examples"}},
	{"github.com/fergusstrange/embedded-postgres", []string{"internal/pgcluster", "internal/pgtest", "tenanttest", "tests", "examples"}},
	{module + "/internal/pgcluster", []string{"internal/pgtest", "tenanttest", "tests", "examples"}},
	{module + "/internal/pgtest", []string{"tests"}},
}

// standardOnly link nothing from outside.
var standardOnly = []string{"tenant", "internal/service", "internal/sqltext", "internal/pool"}

// pkg is what go list says of a package. Tests are not part of it.
type pkg struct {
	ImportPath string
	Standard   bool
	Module     *struct{ Path string }
	Imports    []string
	Deps       []string
}

func (p pkg) ours() bool { return p.Module != nil && p.Module.Path == module }

func (p pkg) path() string { return short(p.ImportPath) }

func short(importPath string) string { return strings.TrimPrefix(importPath, module+"/") }

// folder returns the entry of floors that holds path, the nearest one.
func folder(path string) (nearest string, ok bool) {
	for f := range floors {
		if (path == f || strings.HasPrefix(path, f+"/")) && len(f) > len(nearest) {
			nearest, ok = f, true
		}
	}
	return nearest, ok
}

func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Module,Imports,Deps", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	ours := 0
	for _, p := range list(t) {
		if !p.ours() {
			continue
		}
		ours++
		from, ok := folder(p.path())
		if !ok {
			t.Errorf("%s has no floor: enter it in floors", p.path())
			continue
		}
		for _, i := range p.Imports {
			to, ok := folder(short(i))
			if ok && to != from && floors[to] >= floors[from] {
				t.Errorf("%s (floor %d) imports %s (floor %d)", p.path(), floors[from], short(i), floors[to])
			}
		}
	}
	if ours < len(floors) {
		t.Errorf("%d packages of ours, want at least the %d of floors", ours, len(floors))
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	all := list(t)
	for _, p := range all {
		if !p.ours() {
			continue
		}
		from, _ := folder(p.path())
		for _, l := range links {
			if slices.Contains(l.only, from) {
				continue
			}
			for _, d := range p.Deps {
				if strings.HasPrefix(d, l.prefix) {
					t.Errorf("%s links %s: only %v may", p.path(), d, l.only)
				}
			}
		}
		if !slices.Contains(standardOnly, p.path()) {
			continue
		}
		for _, d := range p.Deps {
			if dep := all[d]; !dep.Standard && !dep.ours() {
				t.Errorf("%s links %s: it needs the standard library only", p.path(), d)
			}
		}
	}
}

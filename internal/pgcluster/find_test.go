package pgcluster

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestMissingPostgreSQLIsOneSentence(t *testing.T) {
	t.Parallel()
	nowhere := httptest.NewServer(http.NotFoundHandler())
	defer nowhere.Close()
	for name, o := range map[string]FindOptions{
		"not fetched":  {NoMachine: true, NoFetch: true},
		"not there":    {NoMachine: true, Repository: nowhere.URL, Cache: t.TempDir()},
		"other number": {Version: "9", NoFetch: true},
	} {
		_, err := Find(t.Context(), o)
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: error %v, want ErrNotFound", name, err)
			continue
		}
		for _, want := range []string{"apt-get install postgresql", EnvBin} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not tell the remedy %q", name, err, want)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than a line: %q", name, err)
		}
	}
}

func TestEnvironmentComesFirst(t *testing.T) {
	b := needPostgreSQL(t)
	mine := bundleWithout(t, b)
	t.Setenv(EnvBin, filepath.Join(mine.Dir, "nothing-here")+string(filepath.ListSeparator)+mine.Dir)
	if got, err := Find(t.Context(), FindOptions{}); err != nil || got != mine {
		t.Errorf("found %+v, %v, want %+v", got, err, mine)
	}
}

// A bundle may come without pg_basebackup.
func TestReplicaWithoutBasebackup(t *testing.T) {
	t.Parallel()
	b := bundleWithout(t, needPostgreSQL(t), "pg_basebackup")
	if b.has("pg_basebackup") {
		t.Fatal("the bundle has pg_basebackup")
	}
	c, err := Start(t.Context(), Config{Binaries: b, Replicas: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(t.Context())
	s := c.Shards()[0]
	execute(t, s.Primary.DSN, "create table t as select 7 as n")
	for _, r := range s.Replicas {
		eventually(t, "the table on "+r.name, func() bool {
			return query[bool](t, r.DSN, "select pg_is_in_recovery() and to_regclass('t') is not null")
		})
	}
}

// bundleWithout returns links to b's programs but some.
func bundleWithout(t *testing.T, b Binaries, without ...string) Binaries {
	t.Helper()
	dir := openDir(t)
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(strings.Join(without, " "), e.Name()) {
			continue
		}
		if err := os.Symlink(b.program(e.Name()), filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return Binaries{Dir: dir, Major: b.Major}
}

// repository serves PostgreSQL as embedded-postgres expects it: a jar that
// holds a .txz, and its checksum.
type repository struct {
	*httptest.Server
	jars atomic.Int64 // downloads
	sum  string
}

func newRepository(t *testing.T, b Binaries) *repository {
	t.Helper()
	archive := jar(t, b)
	sum := sha256.Sum256(archive)
	r := &repository{sum: hex.EncodeToString(sum[:])}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case !strings.Contains(req.URL.Path, "/embedded-postgres-binaries-") || !strings.Contains(req.URL.Path, string(fetchVersion)):
			http.NotFound(w, req)
		case strings.HasSuffix(req.URL.Path, ".jar.sha256"):
			_, _ = io.WriteString(w, r.sum)
		case strings.HasSuffix(req.URL.Path, ".jar"):
			r.jars.Add(1)
			_, _ = w.Write(archive)
		default:
			http.NotFound(w, req)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// jar packs b's programs, and what a self-contained bundle has beside them.
func jar(t *testing.T, b Binaries) []byte {
	t.Helper()
	server, err := filepath.EvalSymlinks(b.program("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Dir(filepath.Dir(server))
	// As an archive may be: for its owner alone, who is not the servers' user.
	args := []string{"-C", root, "-chJ", "--mode=go=", "--exclude=bitcode"}
	for _, program := range []string{"initdb", "pg_ctl", "postgres"} {
		args = append(args, "bin/"+program)
	}
	for _, dir := range []string{"lib", "share"} {
		if _, err := os.Stat(filepath.Join(root, dir)); err == nil {
			args = append(args, dir)
		}
	}
	cmd := exec.CommandContext(t.Context(), "tar", args...)
	cmd.Env = append(os.Environ(), "XZ_OPT=-0")
	txz, err := cmd.Output()
	if err != nil {
		t.Fatalf("pack PostgreSQL: %v", err)
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	w, err := z.Create("postgres-test.txz")
	if err == nil {
		_, err = w.Write(txz)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func needRepository(t *testing.T) *repository {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("there is no xz to pack a repository with")
	}
	b, err := Find(t.Context(), FindOptions{NoFetch: true, Version: fetchMajor})
	if errors.Is(err, ErrNotFound) {
		b = needPostgreSQL(t) // of another version, under the fetched one's name
	}
	return newRepository(t, b)
}

func TestFetchedPostgreSQLRuns(t *testing.T) {
	t.Parallel()
	r := needRepository(t)
	o := FindOptions{NoMachine: true, Repository: r.URL, Cache: filepath.Join(openDir(t), "cache")}
	for range 2 {
		b, err := Find(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(b.Dir, o.Cache) {
			t.Fatalf("found in %s, want in the cache", b.Dir)
		}
		if n := r.jars.Load(); n != 1 {
			t.Errorf("%d downloads, want one for both", n)
		}
	}
	b, err := Find(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Start(t.Context(), Config{Binaries: b, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(t.Context())
	if n := query[int](t, c.Shards()[0].Replicas[0].DSN, "select 1"); n != 1 {
		t.Errorf("got %d", n)
	}
}

func TestFetchChecksTheSum(t *testing.T) {
	t.Parallel()
	r := needRepository(t)
	r.sum = strings.Repeat("0", 64)
	o := FindOptions{NoMachine: true, Repository: r.URL, Cache: t.TempDir()}
	_, err := Find(t.Context(), o)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("error %v, want one about the checksum", err)
	}
	err = filepath.WalkDir(o.Cache, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "postgres" {
			t.Errorf("%s was unpacked all the same", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

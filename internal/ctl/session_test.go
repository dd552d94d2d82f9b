package ctl

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// session is what an operator types. $SHARD_DSN is another database's.
const session = `init --dry-run
init --shard main --region eu
init --shard main
init --shard other
shard add eu-2 --region eu --primary env:SHARD_DSN --dry-run
shard add eu-2 --region eu --primary env:SHARD_DSN
shard add eu-2 --region eu --primary env:SHARD_DSN
shard add eu-2 --region us --primary env:SHARD_DSN
shard add eu-2 --region eu --primary env:SHARD_DSN --replica env:SHARD_DSN --replace
shard list
tenant create acme --shard main --tier pro --attributes {"plan":"gold"} --dry-run
tenant create acme --shard main --tier pro --attributes {"plan":"gold"}
tenant create globex --shard eu-2 --migrations testdata/migrations
tenant create initech --shard main
tenant create acme
tenant list
tenant list --limit 1
tenant list --limit 1 --after acme
tenant list --tier pro --region eu --attributes {"plan":"gold"}
tenant list --below-version 2 --prefix in
tenant suspend initech --dry-run
tenant suspend initech
tenant rename initech --schema tenant_ini
tenant resume initech
tenant rename initech ini --dry-run
tenant rename initech ini
tenant get initech
tenant name add ini --host orders.ini.example --alias C-17
tenant name add acme --alias C-17
tenant name list ini
tenant get --host ORDERS.ini.example
tenant name remove ini --alias C-17
tenant name remove ini --alias C-17
tenant set ini --tier free --attributes {"plan":"lead"}
migrate status --dir testdata/migrations
migrate plan --dir testdata/migrations --canary acme --target 1
migrate up --dir testdata/migrations --canary acme
migrate up --dir testdata/migrations
migrate down --dir testdata/migrations --target 1 --tenants acme
migrate down --dir testdata/migrations --target 1 --tenants acme --yes
migrate status --dir testdata/migrations
tenant delete globex
tenant delete globex --dry-run
tenant delete globex --yes
shard remove main
shard remove eu-2 --dry-run
shard remove eu-2
tenant events ini
tenant events --object shard --limit 1
tenant list -q
tenant suspend ini -q`

// ending is what an operator types who has pg_dump.
const ending = `init --shard main --region eu
tenant create acme --migrations testdata/migrations --tier pro --attributes {"plan":"gold"}
tenant create ini
tenant suspend ini
tenant copy acme acme-two --dry-run
tenant copy acme acme-two --tier free
tenant delete acme-two --after 30d
tenant delete acme-two --after 30d --yes
tenant list --deleting
tenant get acme-two
tenant undelete acme-two --dry-run
tenant undelete acme-two
tenant undelete acme-two
tenant archive acme --to DIR
tenant archive acme --to DIR --dry-run
tenant archive acme --to DIR --yes
tenant archive acme --to DIR --yes
tenant list --restorable
tenant get acme
tenant delete acme --after 1h --yes
tenant restore acme --from DIR
tenant undelete acme
tenant restore acme --from DIR --dry-run
tenant restore acme --from DIR
tenant restore acme --from DIR
tenant roles --dry-run
tenant roles ini --dry-run
doctor --migrations testdata/migrations
doctor --tenants ini --reference acme --fix --yes`

// TestSession types all that an operator does, for tables and for JSON, and
// compares every word of the answers.
func TestSession(t *testing.T) {
	t.Parallel()
	for _, format := range []string{formatTable, formatJSON} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.env["SHARD_DSN"] = newDatabase(t)
			golden(t, "session."+format+".golden", l.types(t, session, format))
		})
		t.Run("ending "+format, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.needsPrograms()
			golden(t, "ending."+format+".golden", l.types(t, ending, format))
		})
	}
}

// types executes all lines, and returns them with the answers. DIR is a folder.
func (l *lab) types(t *testing.T, lines, format string) string {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	for text := range strings.SplitSeq(lines, "\n") {
		args := strings.Fields(strings.ReplaceAll(text, "DIR", dir))
		fmt.Fprintf(&b, "$ tenantctl %s\n", text)
		if format == formatJSON {
			args = append(args, "-o", "json")
		}
		if strings.Contains(text, "--replica") {
			args = append(args, "--no-check")
		}
		r := l.run(args...)
		if format == formatJSON {
			requireDocuments(t, text, r)
		}
		r.out, r.err = strings.ReplaceAll(r.out, dir, "DIR"), strings.ReplaceAll(r.err, dir, "DIR")
		b.WriteString(stable(r.out))
		for line := range strings.Lines(stable(r.err)) {
			b.WriteString("! " + line)
		}
		if r.code != codeDone {
			fmt.Fprintf(&b, "= %d\n", r.code)
		}
	}
	return b.String()
}

// requireDocuments fails the test unless programs can read a result: one document,
// on the stream that the exit code says, and the report of what was partly done.
func requireDocuments(t *testing.T, what string, r result) {
	t.Helper()
	if r.code == codeDone {
		if !json.Valid([]byte(r.out)) || r.err != "" {
			t.Errorf("%s: standard output %q, error %q", what, r.out, r.err)
		}
		return
	}
	var f failure
	if err := json.Unmarshal([]byte(r.err), &f); err != nil || f.Code != r.code || f.Error == "" {
		t.Errorf("%s: standard error %q, code %d", what, r.err, r.code)
	}
	if r.out != "" && r.code != codePartly && r.code != Interrupted {
		t.Errorf("%s: failed, and standard output has %q", what, r.out)
	}
}

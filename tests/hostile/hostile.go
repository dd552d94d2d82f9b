package hostile

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Stem begins the harmless part of the IDs.
const Stem = "mallory"

// IDs returns n different hostile IDs: first the classics, as far as n allows,
// then random ones of every kind. It is meant for n up to a few million.
func IDs(seed uint64, n int) []string {
	r := rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
	ids := make([]string, 0, n)
	seen := make(map[string]bool, n)
	add := func(s string) {
		if _, err := tenant.ParseID(s); err != nil && !seen[s] && len(ids) < n {
			seen[s] = true
			ids = append(ids, s)
		}
	}
	for _, s := range classics {
		add(s)
	}
	// In turn rather than by chance, so that few IDs show every kind too.
	for i := 0; len(ids) < n; i++ {
		s := kinds[i%len(kinds)](r, name(r))
		if r.IntN(4) == 0 {
			s = kinds[r.IntN(len(kinds))](r, s)
		}
		add(s)
	}
	return ids
}

// classics are the ones that everybody should have tried.
var classics = []string{
	"", " ", ".", "..", "-", "_", "\x00", "\n", "'", "\"", "%", "*", "/", "\\",
	"public", "information_schema", "shared", "tenancy", "pg_catalog", "pg_toast", "pg_temp", "pg_temp_1", "pg_a",
	"PUBLIC", "Public", "INFORMATION_SCHEMA", "PG_CATALOG",
	"$user", "\"$user\"", "public,pg_catalog", "tenant.public", "null\x00",
	"../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f", "%252e%252e%252f", "%00", "%0d%0a", "%c0%ae",
	"'; DROP SCHEMA public CASCADE; --", "\"; DROP SCHEMA public CASCADE; --", "x' OR '1'='1", "x\" , \"pg_catalog",
	"\u0440ublic", "pub\u217cic", "p\u00fcblic", "ma\u200bllory", "\u202emallory", "\ufeffmallory", "\u212aelvin",
	"\xff", "\xc0\xaf", "\xed\xa0\x80", "mallory\xe2\x82",
	strings.Repeat("a", 49), strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("a", 1000),
}

// kind makes one ID of a harmless one.
type kind func(r *rand.Rand, s string) string

var kinds = []kind{
	inserter("'", "\"", "`", "\\", ";", "$$", "--", "/*", "''", "\"\"", "\\'"),
	inserter("\x00", "\x00\x00", "\x01", "\x07", "\x08", "\x0b", "\x1b[31m", "\x1b]0;x\x07", "\x7f", "\t"),
	inserter("\r", "\n", "\r\n", "\n\n", "\n\t", "\u0085", "\u2028", "\u2029"),
	inserter(".", "..", " ", "  ", "\u00a0", "\u3000", "...."),
	inserter("\u202e", "\u202d", "\u2066", "\u2069", "\u200b", "\u200d", "\u200f", "\ufeff", "\u00ad", "\u0301", "\U000e0041"),
	inserter("\xff", "\xfe", "\x80", "\xc0\xaf", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"),
	inserter("%00", "%0d%0a", "%27", "%22", "%2e", "%2e%2e", "%2f", "%5c", "%20", "%61", "%c0%af", "%u0027", "%", "%zz"),
	inserter("%2500", "%250a", "%252e%252e", "%252f", "%2527", "%25%32%66", "%252561"),
	inserter("/", "\\", "../", "..\\", "/../", "/./", "//", "....//", "/..;/", "~"),
	inserter(",", ":80", ":", "@", "#", "?x=", "&", "=", "*", "|", "<", ">", "{", "}", "(", ")", "^", "!"),
	inserter("%s", "%n%n", "%[1]v", "${jndi:ldap://x}", "{{7*7}}", "$(id)", "`id`", "<script>", "$user"),
	appender("'; DROP SCHEMA tenancy CASCADE; --", "\"; SET search_path = public; --", "', true); SELECT pg_sleep(9); --",
		"\", pg_catalog, \"public", "' UNION SELECT usename FROM pg_user --", "$$; DELETE FROM tenants; $$", "\\'; COMMIT; --", "::regnamespace"),
	appender("\r\nX-Tenant-ID: public", "\r\nX-Forwarded-Host: public.example.com", "\nlevel=ERROR msg=forged", "\n{\"level\":\"ERROR\",\"msg\":\"forged\"}",
		"\r\n\r\nGET /t/public/ HTTP/1.1\r\nHost: public.example.com\r\n\r\n", " HTTP/1.1\r\nHost: public.example.com\r\n\r\nGET /t/public", "\" level=ERROR msg=\"forged"),
	appender("-", "_", "--", "__", "-_", ".", " "),
	prepender("-", "_", "--", ".", " ", "pg_", "PG_", "Pg_", "xn--", "tenant_\x00", "tenant.", "public.", "public/", "../", "%"),
	prepender("information_schema.", "pg_catalog.", "pg_toast.", "\"", "public,", "public;", "E'", "U&'\\0061"),
	upper, lookAlike, percented, long, noise,
}

// name returns a valid ID: the stem, and often something behind it.
func name(r *rand.Rand) string {
	if n := r.IntN(1 << 20); n%8 != 0 {
		return fmt.Sprintf("%s-%x", Stem, n)
	}
	return Stem
}

func inserter(pieces ...string) kind {
	return func(r *rand.Rand, s string) string {
		at := r.IntN(len(s) + 1)
		return s[:at] + pieces[r.IntN(len(pieces))] + s[at:]
	}
}

func appender(pieces ...string) kind {
	return func(r *rand.Rand, s string) string { return s + pieces[r.IntN(len(pieces))] }
}

func prepender(pieces ...string) kind {
	return func(r *rand.Rand, s string) string { return pieces[r.IntN(len(pieces))] + s }
}

func upper(r *rand.Rand, s string) string {
	b := []byte(s)
	for range 1 + r.IntN(len(b)+1) {
		if i := r.IntN(len(b) + 1); i < len(b) && b[i] >= 'a' && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// alike are letters that look like, or fold to, the ASCII ones.
var alike = map[byte]string{
	'a': "аɑａᵃ𝐚", 'l': "ⅼӏｌƖ𝓁", 'm': "ⅿｍм𝗆", 'o': "оοｏº𝟶", 'r': "гｒᴦ𝚛", 'y': "уｙγʏ𝕪",
	'-': "‐‑–—−﹣－", '0': "０𝟎٠", '1': "１𝟏١", 'e': "еｅℯ", 'c': "сｃⅽ", 'd': "ԁｄⅾ",
}

func lookAlike(r *rand.Rand, s string) string {
	var b strings.Builder
	for i := range len(s) {
		others := []rune(alike[s[i]])
		if len(others) > 0 && r.IntN(3) == 0 {
			b.WriteRune(others[r.IntN(len(others))])
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// percented encodes some bytes once, or twice.
func percented(r *rand.Rand, s string) string {
	var b strings.Builder
	sign := []string{"%", "%25"}[r.IntN(2)]
	for i := range len(s) {
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, "%s%02x", sign, s[i])
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// long fills up to the lengths at which something is cut.
func long(r *rand.Rand, s string) string {
	lengths := []int{49, 63, 64, 65, 127, 128, 255, 256, 1000}
	want := lengths[r.IntN(len(lengths))]
	if len(s) >= want {
		return s[:want]
	}
	return s + strings.Repeat(string("az09"[r.IntN(4)]), want-len(s))
}

func noise(r *rand.Rand, _ string) string {
	b := make([]byte, 1+r.IntN(40))
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	return string(b)
}

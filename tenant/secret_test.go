package tenant_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestSecretHidesItself(t *testing.T) {
	t.Parallel()
	s := tenant.Secret(password)
	if s.Reveal() != password {
		t.Error("the password was lost")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, arg := range []any{s, &s, []tenant.Secret{s}, map[string]tenant.Secret{"a": s}, struct{ S tenant.Secret }{s}} {
			if got := fmt.Sprintf(verb, arg); strings.Contains(got, password) || strings.Contains(got, fmt.Sprintf("%x", password)) {
				t.Errorf("%s: %s", verb, got)
			}
		}
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("login", "password", s, "pointer", &s, "error", fmt.Errorf("lost %v", s))
	}
	text, err := json.Marshal(map[string]tenant.Secret{"a": s})
	if err != nil || strings.Contains(log.String()+string(text), password) {
		t.Errorf("%s, %s, %v", log.String(), text, err)
	}
}

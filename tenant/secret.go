package tenant

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a password. Its printed, logged and encoded forms hide it.
type Secret string

// Reveal returns the password itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the password.
func (s Secret) String() string { return hidden }

// Format keeps every verb from printing the password.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalJSON hides the password.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// LogValue hides the password from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

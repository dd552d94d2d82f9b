package tenant

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MaxAttributesLen is the longest text of a tenant's attributes, in bytes. They
// are held in memory wherever the tenant is.
const MaxAttributesLen = 16 << 10

// ErrInvalidAttributes says that the attributes are no JSON object, or too long.
var ErrInvalidAttributes = errors.New("invalid tenant attributes")

// Attributes are what an application keeps with a tenant: the text of a JSON
// object. The zero value is the empty object.
type Attributes string

// NewAttributes returns v, a struct or a map, as attributes. The error wraps
// ErrInvalidAttributes.
func NewAttributes(v any) (Attributes, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalidAttributes, err)
	}
	a := Attributes(text)
	return a, a.Validate()
}

// Decode reads the attributes into v, as json.Unmarshal does.
func (a Attributes) Decode(v any) error {
	if err := json.Unmarshal([]byte(a.String()), v); err != nil {
		return fmt.Errorf("decode tenant attributes: %w", err)
	}
	return nil
}

// String returns the JSON text.
func (a Attributes) String() string {
	if a == "" {
		return "{}"
	}
	return string(a)
}

// Validate returns an error that wraps ErrInvalidAttributes unless a is a JSON
// object of at most MaxAttributesLen bytes that PostgreSQL can store.
func (a Attributes) Validate() error {
	if len(a) > MaxAttributesLen {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrInvalidAttributes, len(a), MaxAttributesLen)
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(a.String()), &object); err != nil || object == nil {
		return fmt.Errorf("%w: want a JSON object", ErrInvalidAttributes)
	}
	if strings.Contains(strings.ToLower(string(a)), `\u0000`) {
		return fmt.Errorf("%w: PostgreSQL stores no NUL", ErrInvalidAttributes)
	}
	return nil
}

package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// decode reads the request's JSON body into v. Unknown fields are refused: a
// misspelt one would be ignored in silence.
func decode(c echo.Context, v any) error {
	if mt, _, _ := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType)); mt != echo.MIMEApplicationJSON {
		return &Problem{http.StatusUnsupportedMediaType, "bad_media_type", "send the body as application/json", nil}
	}
	d := json.NewDecoder(c.Request().Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return decodeProblem(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest(FieldError{"body", "has something behind the JSON object"})
	}
	return nil
}

// decodeProblem names the field that is at fault where the decoder does.
func decodeProblem(err error) error {
	var tooLarge *echo.HTTPError // of the body limit
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return tooLarge
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return badRequest(FieldError{wrongType.Field, "is no " + kind(wrongType)})
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return badRequest(FieldError{strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`), "is not known"})
	}
	return badRequest(FieldError{"body", "is not the JSON object that is expected"})
}

func kind(err *json.UnmarshalTypeError) string {
	switch err.Type.Kind().String() {
	case "string":
		return "text"
	case "int64":
		return "whole number of this size"
	}
	return "value of the expected kind"
}

// fields checks an input whose fields may be missing, and collects what was
// given as columns, and what is wrong.
type fields struct {
	required bool // every field has to be there
	columns  map[string]any
	errs     []FieldError
}

func check(required bool) *fields {
	return &fields{required: required, columns: map[string]any{}}
}

func (f *fields) fail(field, format string, args ...any) {
	f.errs = append(f.errs, FieldError{field, fmt.Sprintf(format, args...)})
}

// done returns the columns, or all that is wrong.
func (f *fields) done() (map[string]any, error) {
	if len(f.errs) > 0 {
		return nil, invalid(f.errs...)
	}
	if len(f.columns) == 0 {
		return nil, invalid(FieldError{"body", "changes nothing"})
	}
	return f.columns, nil
}

// given reports whether there is a value to check.
func given[T any](f *fields, name string, v *T) bool {
	if v == nil && f.required {
		f.fail(name, "is required")
	}
	return v != nil
}

// text wants a line of 1 to most characters.
func (f *fields) text(name string, v *string, most int) {
	if !given(f, name, v) {
		return
	}
	switch n := utf8.RuneCountInString(*v); {
	case strings.TrimSpace(*v) == "":
		f.fail(name, "is empty")
	case n > most:
		f.fail(name, "has %d characters, at most %d are allowed", n, most)
	case !printable(*v):
		f.fail(name, "contains control characters")
	default:
		f.columns[name] = *v
	}
}

func (f *fields) email(name string, v *string) {
	before := len(f.errs)
	f.text(name, v, 200)
	if v == nil || len(f.errs) > before {
		return
	}
	if a, err := mail.ParseAddress(*v); err != nil || a.Address != *v {
		f.fail(name, "is no e-mail address such as name@example.com")
	}
}

// number wants least to most.
func (f *fields) number(name string, v *int64, least, most int64) {
	if !given(f, name, v) {
		return
	}
	if *v < least || *v > most {
		f.fail(name, "is not between %d and %d", least, most)
		return
	}
	f.columns[name] = *v
}

// printable keeps out what PostgreSQL cannot store (NUL) and what breaks a
// line.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

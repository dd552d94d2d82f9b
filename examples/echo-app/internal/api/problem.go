package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/middleware"
)

// FieldError says what is wrong with one field or parameter.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Problem is an error for the client. It is encoded as a problem document
// (RFC 9457) with the extensions code and errors, like the middleware's.
type Problem struct {
	Status int
	Code   string // for programs, does not change
	Detail string // for people
	Errors []FieldError
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// MarshalJSON returns the problem document.
func (p *Problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type   string       `json:"type"`
		Title  string       `json:"title"`
		Status int          `json:"status"`
		Detail string       `json:"detail,omitempty"`
		Code   string       `json:"code"`
		Errors []FieldError `json:"errors,omitempty"`
	}{"about:blank", http.StatusText(p.Status), p.Status, p.Detail, p.Code, p.Errors})
}

// badRequest says that a request cannot be read.
func badRequest(errs ...FieldError) *Problem {
	return &Problem{http.StatusBadRequest, "bad_request", "the request cannot be read", errs}
}

// invalid says that a request was understood and cannot be right.
func invalid(errs ...FieldError) *Problem {
	return &Problem{http.StatusUnprocessableEntity, "invalid", "some fields are not valid", errs}
}

// conflict says that the data stands against a request.
func conflict(code, detail string, errs ...FieldError) *Problem {
	return &Problem{http.StatusConflict, code, detail, errs}
}

// statusClientClosed is what proxies log for a client that did not wait. It is
// never seen by one.
const statusClientClosed = 499

// HandleError returns Echo's error handler: every error becomes a problem
// document. Those that are our own fault are logged to log with their cause,
// which the client does not see.
func HandleError(log *slog.Logger) echo.HTTPErrorHandler {
	return middleware.ErrorHandler(func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		ctx := c.Request().Context()
		p := problemOf(err)
		if p.Status == http.StatusInternalServerError {
			log.LogAttrs(ctx, slog.LevelError, "request failed", slog.Any("cause", err))
		}
		// An error here is the client's hanging up; nobody is left to tell.
		_ = writeProblem(c, p.Status, document(err, p))
	})
}

func writeProblem(c echo.Context, status int, doc json.Marshaler) error {
	if c.Request().Method == http.MethodHead {
		return c.NoContent(status)
	}
	body, err := doc.MarshalJSON()
	if err != nil {
		return err
	}
	return c.Blob(status, "application/problem+json", append(body, '\n'))
}

// document prefers the middleware's own account of a refusal.
func document(err error, p *Problem) json.Marshaler {
	var refusal *middleware.Problem
	if errors.As(err, &refusal) {
		return refusal
	}
	return p
}

func problemOf(err error) *Problem {
	var p *Problem
	var he *echo.HTTPError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &he):
		code := strings.ReplaceAll(strings.ToLower(http.StatusText(he.Code)), " ", "_")
		return &Problem{he.Code, code, echoDetails[he.Code], nil}
	case errors.Is(err, gorm.ErrRecordNotFound):
		return &Problem{http.StatusNotFound, "not_found", "there is no such record", nil}
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return conflict("duplicate", "another record has the same key already")
	case errors.Is(err, gorm.ErrForeignKeyViolated):
		return conflict("in_use", "other records refer to this one")
	case errors.Is(err, context.Canceled):
		return &Problem{statusClientClosed, "client_closed", "", nil}
	}
	return &Problem{http.StatusInternalServerError, "internal", "this is our fault: tell us the X-Request-Id", nil}
}

// echoDetails say what to do about Echo's own refusals.
var echoDetails = map[int]string{
	http.StatusNotFound:              "there is no such path: GET / lists those that exist",
	http.StatusMethodNotAllowed:      "this path has other methods: the header Allow lists them",
	http.StatusRequestEntityTooLarge: "the body is too large: send less at once",
}

type requestIDKey struct{}

// WithRequestID returns a context that carries the request's ID, for logs.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the request's ID, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

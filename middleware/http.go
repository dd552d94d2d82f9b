package middleware

import (
	"fmt"
	"net/http"
)

// HTTP returns the middleware for net/http. It panics if cfg.Validate has
// something to say, or if a source needs Echo.
//
// A refused request is answered with the problem document (see Config.OnError)
// and does not reach the handler.
func HTTP(cfg Config) func(http.Handler) http.Handler {
	g := newGuard(cfg)
	for i, s := range cfg.From {
		if _, ok := s.(echoClaim); ok {
			panic(fmt.Errorf("middleware: Config.From[%d], %s: %w", i, s.Name(), errNeedsEcho))
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if g.skips(r) {
				next.ServeHTTP(w, r)
				return
			}
			g.begin(w.Header())
			ctx, p := g.admit(w.Header(), r, nil)
			if p != nil {
				g.refuse(w, r, p)
				return
			}
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

func (g *guard) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	g.log(r, p)
	if g.OnError != nil {
		g.OnError(w, r, p)
		return
	}
	p.ServeHTTP(w, r)
}

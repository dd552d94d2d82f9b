package pgscope

import "strconv"

// A scope's timeouts are set with its path, once a transaction: behind that, the
// application's own SET LOCAL counts. PostgreSQL begins to measure a statement's time
// anew with each message that it executes, so that they count for the statement
// behind them in the same packet.

// timeout is one of a scope's timeouts.
type timeout struct {
	setting string
	ms      int32 // 0: the session's own
}

// timeouts returns those of the scope at hand.
func (w *wire) timeouts() [2]timeout {
	return [2]timeout{
		{"statement_timeout", w.scope.StatementTimeout},
		{"idle_in_transaction_session_timeout", w.scope.IdleTimeout},
	}
}

// needsTimeouts reports whether the statement at hand has to set them.
func (w *wire) needsTimeouts() bool {
	return (w.scope.StatementTimeout > 0 || w.scope.IdleTimeout > 0) && (w.status == txIdle || w.untimed)
}

// timeoutSetters are what sets them to parameters behind the path's set_config, where
// an empty one leaves the session's own.
func timeoutSetters(statement, idle string) string {
	set := func(setting, param string) string {
		return ", pg_catalog.set_config('" + setting + "', case when " + param + "::pg_catalog.text operator(pg_catalog.=) ''" +
			" then pg_catalog.current_setting('" + setting + "') else " + param + "::pg_catalog.text end, true)"
	}
	return set("statement_timeout", statement) + set("idle_in_transaction_session_timeout", idle)
}

// appendValue adds the parameter.
func (t timeout) appendValue(b []byte) []byte {
	if t.ms <= 0 {
		return b
	}
	return strconv.AppendInt(b, int64(t.ms), 10)
}

// appendSetter adds what sets it behind the path's set_config in a select.
func (t timeout) appendSetter(b []byte) []byte {
	b = append(append(b, ", pg_catalog.set_config('"...), t.setting...)
	return append(t.appendValue(append(b, "', '"...)), "', true)"...)
}

// setLocal is a utility command, as wire.setLocal is.
func (t timeout) setLocal(b []byte) []byte {
	b = append(append(b, "set local "...), t.setting...)
	return t.appendValue(append(b, " to "...))
}

// setSession is for a statement that refuses to run in a transaction.
func (t timeout) setSession(b []byte) []byte {
	b = append(append(b, "; set "...), t.setting...)
	return t.appendValue(append(b, " to "...))
}

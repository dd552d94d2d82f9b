package pgscope

import (
	"bytes"
	"encoding/binary"
)

// A prepared statement knows the types of its parameters and columns by OID,
// for good. Types that a database's users made (enums, domains, composites,
// the arrays of these) may stand in each tenant's schema under one name and
// mean another type in each, so a text whose description has one of them is
// never shared: PostgreSQL would refuse it to all tenants but the first.

// firstUserOID is the first OID of what users create (FirstNormalObjectId in
// PostgreSQL's access/transam.h).
const firstUserOID = 16384

// describes notes the types of a statement's description: ParameterDescription,
// then RowDescription. A RowDescription by itself belongs to an execution.
func (w *wire) describes(t byte, body []byte) {
	switch {
	case t == 't':
		w.describing = true
		w.userTypes = w.userTypes || hasUserParameter(body)
	case w.describing:
		w.userTypes = w.userTypes || hasUserColumn(body)
	}
}

// tookUserTypes reports, once, whether a statement with such types was
// described since the last call.
func (w *wire) tookUserTypes() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	took := w.userTypes
	w.userTypes = false
	return took
}

// hasUserParameter reads a ParameterDescription. One that cannot be read counts.
func hasUserParameter(body []byte) bool {
	if len(body) < 2 || len(body) != 2+4*int(binary.BigEndian.Uint16(body)) {
		return true
	}
	for body = body[2:]; len(body) > 0; body = body[4:] {
		if binary.BigEndian.Uint32(body) >= firstUserOID {
			return true
		}
	}
	return false
}

// columnLen is the length of a column in a RowDescription, behind its name:
// table, attribute, type, size, modifier, format.
const columnLen = 4 + 2 + 4 + 2 + 4 + 2

// hasUserColumn reads a RowDescription. One that cannot be read counts.
func hasUserColumn(body []byte) bool {
	if len(body) < 2 {
		return true
	}
	for body = body[2:]; len(body) > 0; {
		name := bytes.IndexByte(body, 0)
		if name < 0 || len(body) < name+1+columnLen {
			return true
		}
		if binary.BigEndian.Uint32(body[name+1+4+2:]) >= firstUserOID {
			return true
		}
		body = body[name+1+columnLen:]
	}
	return false
}

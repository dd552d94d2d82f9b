package sqltext

import "strings"

// word is a keyword or name that means something to the classifier.
type word uint8

const (
	none word = iota

	// Commands of which only the kind matters.
	wDDL
	wWrite
	wRuns // nobody knows what
	wControl
	wKeeps   // leaves something on the session
	wInspect // reads, but what a standby would answer otherwise

	// Words that steer the reading of a statement.
	wAbort
	wAggregate
	wAlter
	wAtomic
	wAuthorization
	wBegin
	wBernoulli
	wBy
	wCharacter
	wCharacteristics
	wClientEncoding
	wCluster
	wCommit
	wConcurrently
	wConstraints
	wCopy
	wCreate
	wCube
	wCycle
	wDatabase
	wDeclare
	wDelete
	wDetach
	wDiscard
	wDo
	wDrop
	wEnd
	wFilter
	wFunction
	wGlobal
	wHold
	wIndex
	wInsert
	wInto
	wKey
	wLocal
	wMaterialized
	wMerge
	wNames
	wNo
	wOperator
	wOrdinality
	wOver
	wPartition
	wPrepare
	wPrepared
	wProcedure
	wRecursive
	wReindex
	wReplace
	wReset
	wRole
	wRollback
	wRollup
	wSchema
	wSearch
	wSearchPath
	wSession
	wSessionAuthorization
	wSet
	wSets
	wShare
	wStandardStrings
	wStart
	wSubscription
	wSystem
	wTablesample
	wTablespace
	wTemp
	wTransaction
	wTrue
	wUescape
	wUpdate
	wVacuum
	wVarying
	wVerbose
	wWork
	wZone

	// Words that nobody can use as a function's name, and those of like, left,
	// right and overlaps: a parenthesis behind them is harmless.
	wSyntax
	wAs
	wTo
	wAll
	wDistinct
	wFor
	wGroup
	wGrouping
	wNot
	wOn
	wOrder
	wSelect
	wTable
	wTime
	wValues
	wWith
)

// syntactic reports whether a parenthesis behind the word is never a call that
// matters.
func (w word) syntactic() bool { return w >= wSyntax }

// spellings lists the words' names, in lower case.
var spellings = []struct {
	word  word
	names string
}{
	{wDDL, "analyse analyze comment grant import reassign refresh revoke security truncate"},
	{wWrite, "notify"},
	{wRuns, "call execute"},
	{wControl, "checkpoint close lock move release savepoint unlisten"},
	{wKeeps, "deallocate listen load"},
	{wInspect, "explain fetch show"},
	{wAbort, "abort"},
	{wAggregate, "aggregate"},
	{wAlter, "alter"},
	{wAs, "as"},
	{wAtomic, "atomic"},
	{wAuthorization, "authorization"},
	{wBegin, "begin"},
	{wBernoulli, "bernoulli"},
	{wBy, "by"},
	{wCharacter, "character"},
	{wCharacteristics, "characteristics"},
	{wClientEncoding, "client_encoding"},
	{wCluster, "cluster"},
	{wCommit, "commit"},
	{wConcurrently, "concurrently"},
	{wConstraints, "constraints"},
	{wCopy, "copy"},
	{wCreate, "create"},
	{wCube, "cube"},
	{wCycle, "cycle"},
	{wDatabase, "database"},
	{wDeclare, "declare"},
	{wDelete, "delete"},
	{wDetach, "detach"},
	{wDiscard, "discard"},
	{wDo, "do"},
	{wDrop, "drop"},
	{wEnd, "end"},
	{wFilter, "filter"},
	{wFunction, "function"},
	{wGlobal, "global"},
	{wHold, "hold"},
	{wIndex, "index"},
	{wInsert, "insert"},
	{wInto, "into"},
	{wKey, "key"},
	{wLocal, "local"},
	{wMaterialized, "materialized"},
	{wMerge, "merge"},
	{wNames, "names"},
	{wNo, "no"},
	{wOperator, "operator"},
	{wOrdinality, "ordinality"},
	{wOver, "over"},
	{wPartition, "partition"},
	{wPrepare, "prepare"},
	{wPrepared, "prepared"},
	{wProcedure, "procedure"},
	{wRecursive, "recursive"},
	{wReindex, "reindex"},
	{wReplace, "replace"},
	{wReset, "reset"},
	{wRole, "role"},
	{wRollback, "rollback"},
	{wRollup, "rollup"},
	{wSchema, "schema"},
	{wSearch, "search"},
	{wSearchPath, "search_path"},
	{wSession, "session"},
	{wSessionAuthorization, "session_authorization"},
	{wSet, "set"},
	{wSets, "sets"},
	{wShare, "share"},
	{wStandardStrings, "standard_conforming_strings"},
	{wStart, "start"},
	{wSubscription, "subscription"},
	{wSystem, "system"},
	{wTablesample, "tablesample"},
	{wTablespace, "tablespace"},
	{wTemp, "temp temporary"},
	{wTo, "to"},
	{wTransaction, "transaction"},
	{wTrue, "true"},
	{wUescape, "uescape"},
	{wUpdate, "update"},
	{wVacuum, "vacuum"},
	{wVarying, "varying"},
	{wVerbose, "verbose"},
	{wWork, "work"},
	{wZone, "zone"},
	{wAll, "all"},
	{wDistinct, "distinct"},
	{wFor, "for"},
	{wGroup, "group"},
	{wGrouping, "grouping"},
	{wNot, "not"},
	{wOn, "on"},
	{wOrder, "order"},
	{wSelect, "select"},
	{wTable, "table"},
	{wTime, "time"},
	{wValues, "values"},
	{wWith, "with"},
	{wSyntax, `and any array between both case cast current_time current_timestamp localtime localtimestamp coalesce else except exists extract from char bit bigint
		boolean dec decimal float int integer interval nchar numeric real smallint timestamp
		varchar greatest having ilike in intersect join lateral leading least left like limit
		normalize nullif offset only or overlaps overlay position returning right row some
		substring then trailing treat trim union using when where`},
}

const slotCount = 1024

// slot is a place in the hash table of words.
type slot struct {
	name string
	word word
}

var slots = func() (t [slotCount]slot) {
	for _, s := range spellings {
		for _, name := range strings.Fields(s.names) {
			h := hash([]byte(name))
			for t[h].name != "" {
				h = (h + 1) % slotCount
			}
			t[h] = slot{name, s.word}
		}
	}
	return t
}()

// hash spreads the words well enough that a look-up seldom probes twice.
func hash(name []byte) uint {
	n := len(name)
	return (uint(n)*7 + uint(name[0])*131 + uint(name[n-1])*31 + uint(name[n/2])*17 + uint(name[1])*59) % slotCount
}

// maxWord bounds the names that are looked up, in bytes.
const maxWord = 32

// fold copies name to buf in lower case, ASCII only, as PostgreSQL does in
// UTF-8 databases. It returns nothing for a name that is too long.
func fold(buf *[maxWord]byte, name string) []byte {
	if len(name) > maxWord {
		return nil
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	return buf[:len(name)]
}

// keyword returns the word that an unquoted name is, or none.
func keyword(name string) word {
	if len(name) < 2 {
		return none
	}
	var buf [maxWord]byte
	folded := fold(&buf, name)
	if folded == nil {
		return none
	}
	for h := hash(folded); slots[h].name != ""; h = (h + 1) % slotCount {
		if slots[h].name == string(folded) {
			return slots[h].word
		}
	}
	return none
}

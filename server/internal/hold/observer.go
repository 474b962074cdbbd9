package hold

import (
	"bytes"
	"context"
	"slices"
)

// Change is a write of a ledger's own.
type Change struct {
	// Before and After are the state that was written before and the one that was written then. Of several servers over one
	// store, each tells only of what it wrote itself.
	Before, After State
	// Uncertain is true if nobody can tell any more whether this was written: the store was not sure, and when it could be
	// read again another process had written already. Its revision was written, by this process or by another.
	Uncertain bool
}

// Observer is told of every change that a ledger writes, once and in the order of their revisions, before the call that made
// it returns. A write of which the store was not sure is told once that is known; one that the store did not take, never.
//
// The context has the values of who asked for the change, but may have ended. An observer must return soon, because changes
// wait for it, and must not change the ledger itself.
type Observer func(ctx context.Context, c Change)

// attempt is a write, told or not.
type attempt struct {
	ctx    context.Context
	change Change
	record Record
}

// asker is the context of who asked for a write: of who forced a resume where that is all that is written.
func asker(caller context.Context, changed bool, waited *forced) context.Context {
	if !changed && waited != nil {
		return waited.ctx
	}
	return caller
}

// maxUnsure is how many writes are remembered of which the store was not sure. They all have the same revision: there is
// more than one only where a later one was tried before the store could be read.
const maxUnsure = 16

// doubt remembers a write of which the store is not sure. l.mu is held.
func (l *Ledger) doubt(a *attempt) {
	if len(l.observers) == 0 {
		return
	}
	l.unsure = append(l.unsure, *a)
	if surplus := len(l.unsure) - maxUnsure; surplus > 0 {
		l.unsure = slices.Delete(l.unsure, 0, surplus)
	}
}

// resolve finds out what came of the writes of which the store was not sure, now that it is known to have a record. l.mu is
// held.
func (l *Ledger) resolve(r Record) {
	if len(l.unsure) == 0 || r.Revision < l.unsure[0].record.Revision {
		return
	}
	for _, a := range l.unsure {
		switch {
		case r.Revision > a.record.Revision:
			a.change.Uncertain = true
			l.untold = append(l.untold, a)
		case bytes.Equal(r.Data, a.record.Data):
			l.untold = append(l.untold, a)
		}
	}
	l.unsure = nil
}

// tell tells the observers what they have not been told. When it returns they have been told of everything that was written
// before it was called, whichever goroutine did.
func (l *Ledger) tell() {
	l.telling.Lock()
	defer l.telling.Unlock()
	l.mu.Lock()
	untold := l.untold
	l.untold = nil
	l.mu.Unlock()
	for i := range untold {
		for _, observe := range l.observers {
			observe(untold[i].ctx, untold[i].change)
		}
	}
}

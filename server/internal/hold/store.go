package hold

import (
	"context"
	"errors"
	"fmt"
)

// Record is the ledger as a store keeps it. A store does not look into it.
type Record struct {
	// Revision counts the writes: the first is 1, and each is one more than the last. 0 is a store that has no record.
	Revision uint64
	// Data is at most [MaxRecord] bytes.
	Data []byte
}

// MaxRecord is how large a record may be: what etcd takes in a request by default, with room for the rest of it.
const MaxRecord = 1 << 20

// Store is the port to where the ledger survives. Its methods may be called by many goroutines at once, and return soon
// after their context ends. All stores pass one conformance suite (package storetest).
type Store interface {
	// Read returns the last record, linearizably: no write that ended before the call began is missing from it. It is the
	// zero record where there is none. A record that is there and cannot be right is a [*DamagedError].
	Read(ctx context.Context) (Record, error)

	// Swap writes a record whose revision is one more than that of the last, if that still is the last; otherwise it
	// fails with [ErrConflict]. When it returns nil, the record survives whatever happens to this process or machine.
	//
	// Other errors mean that nothing was written, but for an [*UncertainError]: then the record may be there, or come
	// later.
	Swap(ctx context.Context, next Record) error

	// Watch calls changed with the last record, and again whenever another process may have written a later one, until
	// the context ends (nil) or the store is lost. It calls it with every record at most once, in order, but may leave
	// some out, and not two at a time. A store that belongs to one process alone calls it once.
	Watch(ctx context.Context, changed func(Record)) error

	// Close ends what the store began. Nothing else is called afterwards.
	Close() error
}

// ErrConflict is the answer to a write that another one preceded: read again, decide again.
var ErrConflict = errors.New("the ledger was changed meanwhile")

// UncertainError is a write of which it is not known whether it happened.
type UncertainError struct{ Err error }

// Error says so.
func (e *UncertainError) Error() string {
	return fmt.Sprintf("it is not known whether the ledger was written: %v", e.Err)
}

// Unwrap returns what went wrong.
func (e *UncertainError) Unwrap() error { return e.Err }

// DamagedError is a record that cannot be right, or that a newer program wrote. It is never replaced.
type DamagedError struct {
	// Where is the store's name for the place, such as a file's path.
	Where string
	Err   error
}

// Error names the place and the way out.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("the ledger in %s cannot be used: %v", e.Where, e.Err)
}

// Unwrap returns what is wrong with it.
func (e *DamagedError) Unwrap() error { return e.Err }

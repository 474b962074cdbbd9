package hold

import (
	"context"
	"slices"
	"sync"
)

// Memory is a store that lasts as long as the process, for tests and benchmarks.
type Memory struct {
	mu       sync.Mutex
	record   Record
	changed  chan struct{}
	readErr  error
	writeErr error
}

var _ Store = (*Memory)(nil)

// NewMemory returns a store without a record.
func NewMemory() *Memory { return &Memory{changed: make(chan struct{})} }

// Fail makes reads and writes fail from now on, each as its error says; nil heals it.
func (m *Memory) Fail(read, write error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readErr, m.writeErr = read, write
}

// Read implements [Store].
func (m *Memory) Read(ctx context.Context) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return Record{}, err
	}
	return Record{m.record.Revision, slices.Clone(m.record.Data)}, m.readErr
}

// Swap implements [Store].
func (m *Memory) Swap(ctx context.Context, next Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch err := context.Cause(ctx); {
	case err != nil:
		return err
	case m.writeErr != nil:
		return m.writeErr
	case len(next.Data) > MaxRecord:
		return &TooManyError{MaxHolds}
	case next.Revision != m.record.Revision+1:
		return ErrConflict
	}
	m.record = Record{next.Revision, slices.Clone(next.Data)}
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

// Watch implements [Store].
func (m *Memory) Watch(ctx context.Context, changed func(Record)) error {
	told, first := uint64(0), true
	for {
		m.mu.Lock()
		record, next := m.record, m.changed
		m.mu.Unlock()
		if first || record.Revision > told {
			changed(Record{record.Revision, slices.Clone(record.Data)})
			told, first = record.Revision, false
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil
		}
	}
}

// Close implements [Store]: the record stays, for the next who opens it.
func (m *Memory) Close() error { return nil }

package audit

import "io"

// opened is what [sink.ready] found.
type opened struct {
	fresh bool // lines go to another file from now on
	torn  bool // whose last line is not whole
}

// sink is where lines go. One goroutine uses it.
type sink interface {
	// ready makes sure that there is something to write to, and that it is where it ought to be.
	ready() (opened, error)
	// full reports whether so many bytes more are too many.
	full(more int) bool
	// rotate begins anew with the next ready, where it can.
	rotate()
	// Write writes a line at the end, with one write.
	io.Writer
	// sync returns when what was written since the last one is kept. If it fails nobody knows what is.
	sync() error
	close()
}

// stream is a sink that keeps nothing itself, such as standard output.
type stream struct {
	io.Writer

	begun bool
}

func (s *stream) ready() (opened, error) {
	first := !s.begun
	s.begun = true
	return opened{fresh: first}, nil
}

func (s *stream) full(int) bool { return false }

func (s *stream) rotate() {}

func (s *stream) sync() error { return nil }

// close leaves it open: it is somebody else's.
func (s *stream) close() {}

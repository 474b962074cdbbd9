package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// lifecycle is what was started, and how each of it is stopped, in the opposite order.
type lifecycle struct {
	steps []stopStep
}

type stopStep struct {
	name string
	stop func(context.Context) error
}

// onStop adds a step. Steps run in the opposite order of their adding; one that fails does not keep the others from
// running.
func (l *lifecycle) onStop(name string, stop func(context.Context) error) {
	l.steps = append(l.steps, stopStep{name, stop})
}

// close runs every step and joins their errors. All of them together get the timeout; a step that needs it all leaves the
// others a context that has ended, and they stop the hard way.
func (l *lifecycle) close(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var errs []error
	for _, step := range slices.Backward(l.steps) {
		if err := step.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", step.name, err))
		}
	}
	l.steps = nil
	return errors.Join(errs...)
}
